"""What a checkpoint holds of a head: each rank's class rows, and once what is the same on every rank."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from torch.optim import SGD

from arcterm.runs.checkpoints import HeadShard
from arcterm.train.head import Head
from arcterm.train.lazy import LazySGD

SHARED = "loss.safetensors"
_MOMENTUM, _LAZY = ".momentum", "lazy."


def rows(head: Head, sgd: SGD) -> dict[str, Tensor]:
    """This rank's classes: parameters and momenta, the class first; with Partial FC when each was touched."""
    held = _with_momentum(dict(head.sharded()), sgd)
    return held | ({"touched": sgd.touched} if isinstance(sgd, LazySGD) else {})


def shared(head: Head, sgd: SGD) -> dict[str, Tensor]:
    """What the loss learned and remembers, and with Partial FC what rows owe; empty for most losses."""
    held = _with_momentum(head.replicated(), sgd)
    replay = sgd.replay() if isinstance(sgd, LazySGD) else {}
    return held | {_LAZY + name: value for name, value in replay.items()}


def load(folder: Path, shards: list[HeadShard], head: Head, sgd: SGD) -> None:
    """Put what a checkpoint holds into `head` and `sgd`, whatever number of ranks wrote it."""
    for name, parameter in head.sharded().items():
        _fill(parameter, _read_rows(folder, shards, name, head.classes))
        moving = _read_rows(folder, shards, name + _MOMENTUM, head.classes)
        if moving is not None:
            sgd.state[parameter]["momentum_buffer"] = moving.to(parameter.device)
    if not (folder / SHARED).exists():
        return
    held = load_file(folder / SHARED)
    for name, value in head.replicated().items():
        _fill(value, held[name])
        if name + _MOMENTUM in held:
            sgd.state[value]["momentum_buffer"] = held[name + _MOMENTUM].to(value.device)
    if isinstance(sgd, LazySGD):
        touched = _read_rows(folder, shards, "touched", head.classes)
        _fill(sgd.touched, touched)
        sgd.restore({key.removeprefix(_LAZY): v for key, v in held.items() if key.startswith(_LAZY)})


def _with_momentum(tensors: dict[str, Tensor], sgd: SGD) -> dict[str, Tensor]:
    moving = {n: sgd.state[p].get("momentum_buffer") for n, p in tensors.items() if p in sgd.state}
    return tensors | {name + _MOMENTUM: m for name, m in moving.items() if m is not None}


def _read_rows(folder: Path, shards: list[HeadShard], key: str, wanted: range) -> Tensor | None:
    pieces = []
    for part in shards:
        lo, hi = max(part.lo, wanted.start), min(part.hi, wanted.stop)
        if lo < hi:
            with safe_open(folder / part.file, framework="pt") as file:
                if key in file.keys():  # noqa: SIM118  the handle is no dict
                    pieces.append(file.get_slice(key)[lo - part.lo : hi - part.lo])
    return torch.cat(pieces) if pieces else None


def _fill(tensor: Tensor, value: Tensor | None) -> None:
    if value is None:
        raise KeyError("the head's rows")
    with torch.no_grad():
        tensor.copy_(value)
