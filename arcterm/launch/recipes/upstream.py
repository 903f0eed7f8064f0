"""Names of arcface_torch and of programs built on it: networks and losses, and what they are here."""

from __future__ import annotations

import re
from typing import Any

USUAL: dict[str, Any] = {
    "margin_list": [1.0, 0.5, 0.0],
    "network": "r50",
    "batch_size": 128,
    "lr": 0.1,
    "weight_decay": 5e-4,
    "optimizer": "sgd",
    "momentum": 0.9,
    "verbose": 2000,
    "sample_rate": 1.0,
    "interclass_filtering_threshold": 0,
    "gradient_acc": 1,
    "num_epoch": 20,
    "warmup_epoch": 0,
}
"""Defaults of arcface_torch's base.py, and of a length that a config leaves open."""

LOSSES: dict[str, tuple[str, dict[str, Any]]] = {
    "arcface": ("arcface", {"margin": 0.5}),
    "cosface": ("cosface", {"margin": 0.4}),
    "elasticarcface": ("elasticface", {"base": "arcface"}),
    "elasticcosface": ("elasticface", {"base": "cosface"}),
    "elasticarcfaceplus": ("elasticface", {"base": "arcface", "plus": True}),
    "elasticcosfaceplus": ("elasticface", {"base": "cosface", "plus": True}),
}
"""Losses that a config names, with their options."""

NEEDLESS = (
    *("num_classes", "num_image", "frequent", "global_step", "dataset", "num_workers", "save_artifacts"),
    *("wandb_key", "wandb_entity", "wandb_project", "wandb_log_all", "wandb_resume", "suffix_run_name"),
)
"""Keys that nothing here corresponds to, or needs to."""

INSTEAD = {
    "output": "runs have ids: give --name, and --runs-dir",
    "resume": "`arcterm resume RUN` goes on with a run",
    "save_all_states": "a checkpoint has the states of all ranks",
    "dali": "images are decoded on CPUs: see loader_threads and decoded_cache",
    "dali_aug": "give --set crop=…, jitter=… and lowres=…",
    "eval_step": "give --set verify_every",
}
"""Keys with what to do in their place, where they are set."""

_MASKS = {"0": 0.0, "_0": 0.0, "_005": 0.1}  # what its code hides, whatever the name promises


def network(name: str, squeeze: bool) -> tuple[str, dict[str, Any]] | None:
    """The backbone and its options for a network's name; None if it isn't here. `squeeze` is SE."""
    if found := re.fullmatch(r"(?:i?resnet|r)(18|34|50|100|200)", name):
        return f"r{found[1]}", {"dropout": 0.0} | ({"se": True} if squeeze else {})
    if name in ("mbf", "mobileface", "mobilefacenet"):
        return "y1", {"scale": 2}
    if name == "mbf_large":
        return "y1", {"scale": 4, "blocks": "2,8,12,4"}
    if found := re.fullmatch(r"(vit_[tsbl])_dp005_mask(0|_0|_005)", name):
        return found[1], {"drop_path": 0.05, "mask": _MASKS[found[2]]}
    if name in ("vit_t", "vit_s", "vit_b"):
        return name, {"drop_path": 0.1, "mask": 0.1}
    return None


def gpus_in(name: str) -> int | None:
    """The number of GPUs in a config's name, e.g. ``wf42m_pfc02_16gpus_r100``; None if there is none."""
    if "onegpu" in name:
        return 1
    found = re.search(r"(\d{1,4})gpus?(?![a-z])", name)
    return int(found[1]) if found else None
