"""Which classes take part in a step of Partial FC: the batch's own, and others by chance."""

from __future__ import annotations

import torch
from torch import Tensor

# splitmix64's constants, as signed numbers
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX = (0xBF58476D1CE4E5B9 - (1 << 64), 0x94D049BB133111EB - (1 << 64))
_FIRST = (1 << 62) - 1


def sample(local: Tensor, mine: Tensor, classes: range, count: int, seed: int, step: int) -> Tensor:
    """`count` different rows of `classes`, rising (count,) int64; targets come first, then chance.

    `local` (B,) int64 are the rows of the targets that are `mine` (B,) bool; `count` is no less than their
    number. What chance gives a class follows from (seed, step, class) alone, so a resumed run draws the same.
    Nothing here waits for the device.
    """
    rows = len(classes)
    keys = torch.empty(rows + 1, dtype=torch.int64, device=local.device)
    keys[:rows] = chance(classes, seed, step, local.device)
    keys.scatter_(0, torch.where(mine, local, rows), _FIRST)  # the slot at the end takes what is not ours
    return keys[:rows].topk(count, sorted=False).indices.sort().values


def chance(classes: range, seed: int, step: int, device: torch.device) -> Tensor:
    """A number in [0, 2⁶² - 1) for each class, from (seed, step, class) (splitmix64's finalizer)."""
    x = torch.arange(classes.start, classes.stop, device=device).mul_(_GOLDEN)
    x += _wrapped(seed * _MIX[0] + step * _MIX[1])
    for multiplier in _MIX:
        x = (x ^ ((x >> 31) & ((1 << 33) - 1))).mul_(multiplier)
    x ^= (x >> 31) & ((1 << 33) - 1)
    return ((x >> 2) & _FIRST).clamp_(max=_FIRST - 1)


def _wrapped(number: int) -> int:
    """`number` as a signed 64-bit one."""
    return (number + (1 << 63)) % (1 << 64) - (1 << 63)
