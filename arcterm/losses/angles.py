"""Angles of target cosines, finite with finite slope everywhere, cosine ±1 included."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Fallback = Literal["line", "none", "clip"]
Gradient = Literal["exact", "detached"]

_MIN_SIN2 = 1e-12  # below it sin θ counts as 1e-6 and constant: its slope is infinite at cos θ = ±1
_EDGE = 1e-7  # cosines are kept this far from ±1 where an angle is needed


def angle(t: Tensor) -> Tensor:
    """θ in radians of cosines `t`, any shape."""
    return t.clamp(-1 + _EDGE, 1 - _EDGE).acos()


def turned(t: Tensor, margin: float | Tensor) -> Tensor:
    """cos(θ + margin) of cosines `t`, without an arc cosine; `margin` in radians, one or one a row."""
    sin = ((1 - t) * (1 + t)).clamp_min(_MIN_SIN2).sqrt()
    if isinstance(margin, Tensor):
        return t * margin.cos() - sin * margin.sin()
    return t * math.cos(margin) - sin * math.sin(margin)


def arc(t: Tensor, margin: float | Tensor, fallback: Fallback = "line", *, easy: bool = False) -> Tensor:
    """ArcFace's cos(θ + m), and what stands for it past θ = π - m, where it would rise again.

    ``line``: cos θ - m·sin m, which keeps falling (the 2018 rule); ``clip``: -1; ``none``: as it is. With
    `easy` the margin applies where cos θ > 0 and cos θ stands elsewhere.
    """
    moved = turned(t, margin)
    if easy:
        return torch.where(t > 0, moved, t)
    if fallback == "none":
        return moved
    drop: float | Tensor
    if isinstance(margin, Tensor):  # one below 0 never takes an angle past 180 degrees
        last, drop = torch.where(margin < 0, -2.0, -margin.cos()), margin * margin.sin()
    else:
        last, drop = torch.full_like(t, -math.cos(margin)), margin * math.sin(margin)
    beyond = t - drop if fallback == "line" else torch.full_like(t, -1.0)
    return torch.where(t > last, moved, beyond)


def falling(t: Tensor, factor: float) -> Tensor:
    """SphereFace's ψ(θ) = (-1)^k·cos(factor·θ) - 2k with k = ⌊factor·θ/π⌋: falls from 1 all the way."""
    turns = factor * angle(t)
    with torch.no_grad():
        k = (turns / math.pi).floor()
        sign = 1 - 2 * (k % 2)
    return sign * turns.cos() - 2 * k


def passed(t: Tensor, value: Tensor, gradient: Gradient) -> Tensor:
    """`value`, whose slope over `t` counts as 1 if `gradient` is ``detached``."""
    return value if gradient == "exact" else t + (value - t).detach()
