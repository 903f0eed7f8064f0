"""Class weights that trainers save with, or beside, their networks."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

State = dict[str, Tensor]

_HEADS = ("head.weight", "fc7.weight")
_SHARD = re.compile(r"(.*gpu_)(\d{1,4})(\.\w+)")


def split_off(state: State) -> tuple[State, Tensor | None]:
    """Part a state dict into the network's arrays and the class weights (C, D) saved beside them, if any."""
    state = dict(state)
    head = next((state.pop(key) for key in _HEADS if key in state), None)
    kernel = state.pop("head.kernel", None)  # AdaFace's, (D, C)
    if kernel is not None:
        state = {key: value for key, value in state.items() if not key.startswith("head.")}
        head = kernel.T if head is None and kernel.ndim == 2 else head
    return state, head if head is not None and head.ndim == 2 else None


def magface(state: State) -> Tensor | None:
    """MagFace's class weights (C, D), which it saves as ``fc.weight`` (D, C) beside ``features``."""
    for key in ("fc.weight", "module.fc.weight"):
        kernel = state.get(key)
        if kernel is not None and kernel.ndim == 2 and f"{key.removesuffix('weight')}bias" not in state:
            return kernel.T
    return None


def shard_files(path: Path) -> tuple[list[Path], list[str]]:
    """The files of all ranks of arcface_torch, ``checkpoint_gpu_0.pt`` and so on, that lie beside `path`.

    And the names of those that are missing before the last of them. A file whose name says no rank is alone.
    """
    found = _SHARD.fullmatch(path.name)
    if found is None:
        return [path], []
    ranks = {
        int(m[2]): other
        for other in path.parent.iterdir()
        if (m := _SHARD.fullmatch(other.name)) and (m[1], m[3]) == (found[1], found[3])
    }
    missing = [f"{found[1]}{rank}{found[3]}" for rank in range(max(ranks)) if rank not in ranks]
    return [ranks[rank] for rank in sorted(ranks)], missing[:3]


def join(shards: list[Tensor]) -> Tensor | None:
    """Put shards (n, D) in order; None if they are not the equal parts into which arcface_torch divides."""
    if not shards:
        return None
    counts = [len(shard) for shard in shards]
    widths = {shard.shape[1:] for shard in shards}
    if len(widths) != 1 or counts != sorted(counts, reverse=True) or counts[0] - counts[-1] > 1:
        return None
    return torch.cat(shards)
