"""``python -m arcterm.train.footprint.tool VERB PARENT``: what a training needs, for `processes.child`."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import msgspec

from arcterm import gpus
from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.processes import child
from arcterm.progress import Progress


def memory(request: Mapping[str, Any]) -> dict[str, Any]:
    """Follow the training of ``config`` at each of the ``batches``: bytes by part (`trace.follow`).

    Where that can't be done without values, two small batches are trained on; ``tried`` are theirs.
    """
    from arcterm.train.footprint import trace

    config = msgspec.convert(request["config"], TrainConfig)
    batches: list[int] = request["batches"]
    try:
        return {"parts": [trace.follow(config, batch) for batch in batches], "batches": batches}
    except Exception as error:  # noqa: BLE001  whatever a stranger's network does with tensors without values
        small = [2, 4]
        tried = [trace.follow(config, batch, real=True) for batch in small]
        return {"parts": tried, "batches": small, "tried": f"{type(error).__name__}: {error}"[:200]}


def pace(request: Mapping[str, Any]) -> dict[str, Any]:
    """Time a few steps of the training of ``config`` with ``classes`` people (`pace.measure`)."""
    import torch

    from arcterm.train.footprint.pace import measure

    config = msgspec.convert(request["config"], TrainConfig)
    if config.gpus:  # the first of the run's own; CUDA looks at this when it is first used
        os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus.assign(config.gpus)[0].name
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    return asdict(measure(config, request["classes"]))


def groups(request: Mapping[str, Any]) -> dict[str, Any]:
    """Count the parameters of the backbone of ``config`` by how they are updated, in ``words``.

    Raises `ConfigError` if it does not have what is to be frozen or set. A backbone that can't be made
    without memory is made with it; what else goes wrong is left to the run.
    """
    import torch

    from arcterm.train import build
    from arcterm.train.optim import groups as sharing

    config = msgspec.convert(request["config"], TrainConfig)
    for device in ("meta", "cpu"):
        try:
            with torch.device(device):
                network = build.backbone(config, torch.device(device))
            return {"words": sharing.words("backbone", network, sharing.of_backbone(network, config))}
        except ConfigError:
            raise
        except Exception:  # noqa: BLE001, S112  a plug-in's, which its run reports
            continue
    return {"words": ""}


VERBS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "memory": memory,
    "pace": pace,
    "groups": groups,
}


def _work(verb: str, request: Mapping[str, Any], progress: Progress) -> Any:
    import torch

    warnings.simplefilter("ignore")  # of tensors without values, which have no address
    torch.set_num_threads(1)
    return VERBS[verb](request)


if __name__ == "__main__":
    sys.exit(child.serve(_work))
