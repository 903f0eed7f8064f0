"""A head in a checkpoint: each rank's class rows, and once what is the same on every rank."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim import Optimizer

from arcterm.runs.checkpoints import HeadShard
from arcterm.train.head.head import Head
from arcterm.train.head.lazy_adamw import Lazy
from arcterm.train.head.partial_fc import LazySGD
from arcterm.train.optim import optimizers

SHARED = "loss.safetensors"
_MOMENTUM, _LAZY = ".momentum", "lazy."


def rows(head: Head, optimizer: Optimizer) -> dict[str, Tensor]:
    """Collect this rank's rows: parameters, momenta, and what Partial FC's optimizer counts of each."""
    held: dict[str, Tensor] = dict(head.sharded())
    state = optimizers.state(optimizer, held, _MOMENTUM)
    held |= {name: value for name, value in state.items() if value.ndim}
    return held | (optimizer.row_state() if isinstance(optimizer, Lazy) else {})


def shared(head: Head, optimizer: Optimizer) -> dict[str, Tensor]:
    """Collect what is the same on every rank: the loss's state, and the optimizer's counts and replay."""
    held = head.replicated() | optimizers.state(optimizer, head.replicated(), _MOMENTUM)
    counts = optimizers.state(optimizer, head.sharded(), _MOMENTUM)
    held |= {name: value for name, value in counts.items() if not value.ndim}
    replay = optimizer.replay() if isinstance(optimizer, Lazy) else {}
    return held | {_LAZY + name: value for name, value in replay.items()}


def load(folder: Path, shards: list[HeadShard], head: Head, optimizer: Optimizer) -> None:
    """Load a checkpoint of any number of ranks into `head` and `optimizer`."""
    held = load_file(folder / SHARED) if (folder / SHARED).exists() else {}
    named: dict[str, Tensor] = dict(head.sharded())
    for name, parameter in named.items():
        _fill(parameter, _read_rows(folder, shards, name, head.classes))
    state = {key: _read_rows(folder, shards, key, head.classes) for key in optimizers.names(named, _MOMENTUM)}
    optimizers.load(optimizer, named, held | {k: v for k, v in state.items() if v is not None}, _MOMENTUM)
    for name, value in head.replicated().items():
        _fill(value, held.get(name))
    optimizers.load(optimizer, head.replicated(), held, _MOMENTUM)
    if isinstance(optimizer, Lazy):
        for name, tensor in optimizer.row_state().items():
            _fill(tensor, _read_rows(folder, shards, name, head.classes))
        _restore(optimizer, held)


def load_rows(folder: Path, shards: list[HeadShard], head: Head) -> None:
    """Load only the rows: class weights and what the loss learned of each class, all up to date."""
    fill_rows(folder, shards, head.sharded(), head.classes)


def fill_rows(folder: Path, shards: list[HeadShard], named: dict[str, nn.Parameter], classes: range) -> None:
    """Fill the `named` arrays, whose rows are those of `classes`, and bring them up to date."""
    for name, parameter in named.items():
        _fill(parameter, _read_rows(folder, shards, name, classes))
    touched = _read_rows(folder, shards, "touched", classes)
    if touched is not None:
        lazy = LazySGD(named, [{"params": [p]} for p in named.values()], lr=0.0, momentum=0.0)
        for name, parameter in named.items():
            moving = lazy.state[parameter]["momentum_buffer"]
            _fill(moving, _read_rows(folder, shards, name + _MOMENTUM, classes))
        _fill(lazy.touched, touched)
        _restore(lazy, load_file(folder / SHARED))
        lazy.settle()


def _restore(optimizer: Lazy, held: Mapping[str, Tensor]) -> None:
    optimizer.restore({key.removeprefix(_LAZY): v for key, v in held.items() if key.startswith(_LAZY)})


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
