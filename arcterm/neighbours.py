"""Settings near to one that doesn't exist."""

from __future__ import annotations

import difflib
import re

from arcterm_registry import scan

from arcterm.settings import FLAGS, SETTINGS

_GROUPS = ("backbone", "loss", "dataset")
_FLAGS = (*FLAGS, "dataset", "name", "config")
_ARGUMENTS = ("backbone", "loss")
_KNOWN = (*(option.name for option in SETTINGS), *_GROUPS, "name")

_ELSEWHERE = {
    "aug": "jitter",
    "amp": "precision",
    "autocast": "precision",
    "backbone_name": "backbone",
    "base_lr": "lr",
    "batch": "batch_size",
    "bf16": "precision",
    "bs": "batch_size",
    "checkpoint": "pretrained",
    "ckpt": "checkpoint_every",
    "clip_grad": "clip",
    "cos_m": "loss.margin",
    "cpus": "loader_threads",
    "criterion": "loss",
    "data": "dataset",
    "data_dir": "dataset",
    "data_path": "dataset",
    "devices": "gpus",
    "dropout_rate": "backbone.dropout",
    "dtype": "precision",
    "emb_size": "backbone.embedding_size",
    "embedding_dim": "backbone.embedding_size",
    "end_epoch": "epochs",
    "epoch": "epochs",
    "eval_every": "verify_every",
    "eval_freq": "verify_every",
    "flip": "mirror",
    "fp16": "precision",
    "frequent": "verify_every",
    "gamma_decay": "gamma",
    "global_batch_size": "batch_size",
    "gpu": "gpus",
    "gpu_ids": "gpus",
    "grad_clip": "clip",
    "hflip": "mirror",
    "interclass_filtering_threshold": "interclass_filter",
    "iterations": "steps",
    "iters": "steps",
    "label": "name",
    "learning_rate": "lr",
    "loss_type": "loss",
    "lr_decay": "gamma",
    "lr_schedule": "schedule",
    "lr_scheduler": "schedule",
    "lr_steps": "milestones",
    "m": "loss.margin",
    "margin_list": "loss.margin",
    "max_epochs": "epochs",
    "max_grad_norm": "clip",
    "max_iter": "steps",
    "max_steps": "steps",
    "mixed_precision": "precision",
    "mom": "momentum",
    "n_workers": "loader_threads",
    "net": "backbone",
    "network": "backbone",
    "nproc_per_node": "nproc",
    "num_epoch": "epochs",
    "num_epochs": "epochs",
    "num_gpus": "nproc",
    "num_steps": "steps",
    "num_threads": "loader_threads",
    "num_workers": "loader_threads",
    "opt": "optimizer",
    "optim": "optimizer",
    "out": "runs_dir",
    "out_dir": "runs_dir",
    "output": "runs_dir",
    "output_dir": "runs_dir",
    "partial_fc": "sample_rate",
    "per_batch_size": "batch_size",
    "pretrain": "pretrained",
    "rand_mirror": "mirror",
    "random_seed": "seed",
    "rec": "dataset",
    "resume": "pretrained",
    "run_name": "name",
    "s": "loss.scale",
    "save_dir": "runs_dir",
    "save_every": "checkpoint_every",
    "save_freq": "checkpoint_every",
    "scheduler": "schedule",
    "steps_per_save": "checkpoint_every",
    "threads": "loader_threads",
    "torch_compile": "compile",
    "train_dir": "dataset",
    "triplet_alpha": "loss.margin",
    "verbose": "verify_every",
    "warmup_epoch": "warmup",
    "warmup_epochs": "warmup",
    "warmup_steps": "warmup",
    "wd": "weight_decay",
    "workers": "loader_threads",
    "world_size": "nproc",
}
"""Names of settings in other trainers, and their names here."""


def near(name: str) -> list[str]:
    """Up to three settings that `name` may stand for, the likeliest first; a plug-in's as ``loss.margin``."""
    asked = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    asked = re.sub(r"[^a-z0-9.]+", "_", asked.lower()).strip("_")
    options = owned()
    last = asked.rpartition(".")[2]
    exact = [asked] * (asked in _KNOWN) + [last] * (last in _KNOWN and last != asked)
    exact += [full for full in options if full.partition(".")[2] == last]
    exact += [target for word, target in _ELSEWHERE.items() if word == last]
    if exact:
        return list(dict.fromkeys(exact))[:3]
    words = {word: word for word in _KNOWN} | {full.partition(".")[2]: full for full in reversed(options)}
    words |= {full: full for full in options} | {word: word for word in _KNOWN}
    close = difflib.get_close_matches(asked, words, n=5, cutoff=0.6)
    return list(dict.fromkeys(words[word] for word in close))[:3]


def way(name: str) -> str:
    """Write how a setting is given on the command line of ``train``."""
    if name in _ARGUMENTS:
        return f"{name.upper()}, an argument"
    if name in _FLAGS or name == "runs_dir":
        return "--" + name.replace("_", "-")
    return f"--set {name}=…"


def owned() -> list[str]:
    """The options of every plug-in that can be picked, as ``loss.margin``; one that raises has none."""
    found = (
        f"{kind}.{option.name}"
        for kind in ("loss", "backbone", "dataset")
        for plugin in scan(kind)
        if plugin.declaration
        for option in plugin.declaration.options
    )
    return list(dict.fromkeys(found))
