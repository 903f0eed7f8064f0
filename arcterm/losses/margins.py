"""Margins: what the target logit becomes. Each class meets `arcterm_registry.contracts.Margin`.

`target` sees only the target cosines (B,) of a batch, so the head is free to stream, shard or fuse the rest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_MIN_SIN2 = 1e-12  # below it sin θ counts as 1e-6 and constant: its slope is infinite at cos θ = ±1


@dataclass(frozen=True, kw_only=True)
class Softmax:
    """Logits W·x + b of raw weights and features; the target's is left as it is."""

    normalized: bool = False
    bias: bool = True
    scale: float = 1.0

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        """Raw target logits `t` (B,), bias included → the same."""
        return t


@dataclass(frozen=True, kw_only=True)
class CosFace:
    """Target cos θ - m (Wang et al. 2018, arXiv 1801.09414)."""

    margin: float = 0.35
    scale: float = 64.0
    normalized: bool = True
    bias: bool = False

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        """Target cosines `t` (B,) → t - m."""
        return t - self.margin


@dataclass(frozen=True, kw_only=True)
class ArcFace:
    """Target cos(θ + m) with its exact gradient (Deng et al. 2018, arXiv 1801.07698).

    Past θ = π - m, where cos(θ + m) would rise again, it goes on as cos θ - m·sin(π - m). With
    `easy_margin` the target is cos(θ + m) where cos θ > 0 and plain cos θ elsewhere.
    """

    margin: float = 0.5
    scale: float = 64.0
    easy_margin: bool = False
    normalized: bool = True
    bias: bool = False

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        """Target cosines `t` (B,) → cos(θ + m) or the fallback; finite with finite slope at t = ±1."""
        sin = ((1 - t) * (1 + t)).clamp_min(_MIN_SIN2).sqrt()
        moved = t * math.cos(self.margin) - sin * math.sin(self.margin)
        if self.easy_margin:
            return torch.where(t > 0, moved, t)
        fallback = t - self.margin * math.sin(math.pi - self.margin)
        return torch.where(t > math.cos(math.pi - self.margin), moved, fallback)
