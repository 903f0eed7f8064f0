"""Losses that weigh other classes by how near they come to the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from arcterm_registry.contracts import Margin
from torch import Tensor, nn

from arcterm.losses.angles import arc, turned
from arcterm.losses.plain import NormFace


@dataclass(kw_only=True)
class MVSoftmax(NormFace):
    """Others beyond the target's margin become τ·c + τ - 1.

    The target's margin applies where it can be met: on cosface where t > m, on arcface where t > 0.
    """

    margin: float
    tau: float
    base: Literal["cosface", "arcface"]

    def _moved(self, t: Tensor) -> Tensor:
        return t - self.margin if self.base == "cosface" else turned(t, self.margin)

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        reachable = t > (self.margin if self.base == "cosface" else 0.0)
        return torch.where(reachable, self._moved(t), t)

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        return torch.where(tile > self._moved(t), self.tau * tile + (self.tau - 1), tile)


class CurricularFace(Margin, nn.Module):
    """ArcFace; others beyond cos(θ_y + m) become c·(t̄ + c), t̄ the running mean of target cosines."""

    t_mean: Tensor

    def __init__(self, *, margin: float, scale: float, alpha: float) -> None:
        super().__init__()
        self.margin = margin
        self.scale = scale
        self.alpha = alpha
        self.register_buffer("t_mean", torch.zeros(()))

    def observe(self, t: Tensor, norm: Tensor, step: int, sums: tuple[Tensor, ...]) -> None:
        self.t_mean.lerp_(t.mean(), self.alpha)

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return arc(t, self.margin)

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        return torch.where(tile > turned(t, self.margin), tile * (self.t_mean + tile), tile)


@dataclass(kw_only=True)
class ArcNeg(NormFace):
    """ArcFace; others become w·c + w - 1 with w = α·exp(-(c - f(t))² / σ), which carries no gradient."""

    margin: float
    alpha: float
    sigma: float

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return arc(t, self.margin)

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        weight = (self.alpha * (-(tile - arc(t, self.margin)).square() / self.sigma).exp()).detach()
        return weight * tile + (weight - 1)


class NPC(Margin):
    """Margin m0 + m1·ā, ā the mean of the image's hard other cosines; those become τ·c + a.

    Hard is what exceeds cos(θ_y + m0). ā carries no gradient; the margin applies where t > 0.
    """

    def __init__(self, *, m0: float, m1: float, tau: float, a: float, scale: float) -> None:
        self.m0 = m0
        self.m1 = m1
        self.tau = tau
        self.a = a
        self.scale = scale
        self._mean: Tensor | float = 0.0

    def survey(self, tile: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """The hard cosines, and ones to count them."""
        hard = tile > turned(t, self.m0)
        return torch.where(hard, tile, 0.0), hard.to(tile.dtype)

    def observe(self, t: Tensor, norm: Tensor, step: int, sums: tuple[Tensor, ...]) -> None:
        total, count = sums
        self._mean = total / count.clamp_min(1)

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return torch.where(t > 0, turned(t, self.m0 + self.m1 * self._mean), t)

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        return torch.where(tile > turned(t, self.m0), self.tau * tile + self.a, tile)
