"""Losses whose margin or scale follows the data: the batch, the class, the image's quality, or chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from arcterm_registry.contracts import Margin
from torch import Tensor, nn

from arcterm.losses.angles import angle, arc
from arcterm.losses.plain import NormFace


class AdaCos(Margin, nn.Module):
    """Plain cosines on a scale that keeps the median target at the steepest point of the softmax."""

    temperature: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("temperature", torch.ones(()))

    def prepare(self, classes: int, seed: int) -> None:
        """Start at √2·log(C - 1); two classes count as three, whose logarithm is not 0."""
        self.temperature.fill_(math.sqrt(2) * math.log(max(classes, 3) - 1))

    @property
    def scale(self) -> Tensor:  # type: ignore[override]  # read only, and different every step
        return self.temperature

    def survey(self, tile: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        """exp(s̃·(c - 1)): shifted, so that no scale overflows."""
        return ((self.temperature * (tile - 1)).exp(),)

    def observe(self, t: Tensor, norm: Tensor, step: int, sums: tuple[Tensor, ...]) -> None:
        """s̃ = log(mean over images of Σ exp(s̃·c)) / cos(min(π/4, median target angle))."""
        middle = angle(t).median().clamp_max(math.pi / 4)
        self.temperature.copy_((sums[0].mean().log() + self.temperature) / middle.cos())


@dataclass(kw_only=True)
class AdaptiveFace(NormFace):
    """Target cos θ - m_y, m_y learned in [0, 1]; λ·mean(1 - m) asks for large margins."""

    weight: float
    class_parameters = {"margin": (0.3, 0.4)}  # noqa: RUF012  a constant of the class

    def own_target(self, t: Tensor, norm: Tensor, step: int, own: Mapping[str, Tensor]) -> Tensor:
        return t - _inside(own["margin"])

    def class_penalty(self, own: Mapping[str, Tensor]) -> Tensor:
        return self.weight * (1 - _inside(own["margin"]))


def _inside(margin: Tensor) -> Tensor:
    """In [0, 1]; the gradient passes, so that a margin that left can come back."""
    return margin + (margin.clamp(0, 1) - margin).detach()


class AdaFace(Margin, nn.Module):
    """Target cos(θ - m·k) - (m + m·k), k ∈ [-1, 1] the image's quality.

    k = h·(‖x‖ - μ)/(σ + 0.001) from running mean and deviation of the feature norms, without gradient:
    k = -1 is ArcFace, k = 0 CosFace, k = 1 cos(θ - m) - 2m.
    """

    mean: Tensor
    std: Tensor
    _EDGE = 1e-3  # radians that θ - m·k keeps from 0 and π

    def __init__(self, *, margin: float, scale: float, h: float, alpha: float) -> None:
        super().__init__()
        self.margin = margin
        self.scale = scale
        self.h = h
        self.alpha = alpha
        self.register_buffer("mean", torch.full((), 20.0))
        self.register_buffer("std", torch.full((), 100.0))

    def observe(self, t: Tensor, norm: Tensor, step: int, sums: tuple[Tensor, ...]) -> None:
        """Move μ and σ towards this batch's; a batch of one image has no deviation."""
        safe = norm.clamp(0.001, 100)
        self.mean.lerp_(safe.mean(), self.alpha)
        if len(safe) > 1:
            self.std.lerp_(safe.std(), self.alpha)

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        safe = norm.detach().clamp(0.001, 100)
        quality = (self.h * (safe - self.mean) / (self.std + 1e-3)).clamp(-1, 1)
        moved = (angle(t) - self.margin * quality).clamp(self._EDGE, math.pi - self._EDGE)
        return moved.cos() - (self.margin + self.margin * quality)


@dataclass(kw_only=True)
class MagFace(NormFace):
    """ArcFace with a margin that rises linearly with the feature norm a, plus λ·(a/u² + 1/a)."""

    low_margin: float
    high_margin: float
    low_norm: float
    high_norm: float
    weight: float
    easy_margin: bool

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        a = norm.clamp(self.low_norm, self.high_norm)
        slope = (self.high_margin - self.low_margin) / (self.high_norm - self.low_norm)
        return arc(t, self.low_margin + slope * (a - self.low_norm), easy=self.easy_margin)

    def penalty(self, norm: Tensor) -> Tensor:
        a = norm.clamp(self.low_norm, self.high_norm)
        return self.weight * (a / self.high_norm**2 + 1 / a)


class ElasticFace(Margin):
    """ArcFace or CosFace with a margin drawn from N(m, σ) for every image of every step."""

    def __init__(
        self,
        *,
        margin: float | None = None,
        sigma: float,
        scale: float,
        base: Literal["arcface", "cosface"],
        plus: bool,
    ) -> None:
        self.margin = {"arcface": 0.5, "cosface": 0.35}[base] if margin is None else margin
        self.sigma = sigma
        self.scale = scale
        self.base = base
        self.plus = plus
        self._seed = 0

    def prepare(self, classes: int, seed: int) -> None:
        self._seed = seed

    def drawn(self, rows: int, step: int) -> Tensor:
        """Margins (rows,) float64, from (seed, step, row) alone."""
        generator = torch.Generator().manual_seed(self._seed * 1_000_003 + step)
        return torch.randn(rows, generator=generator, dtype=torch.float64) * self.sigma + self.margin

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        margins = self.drawn(len(t), step).to(device=t.device, dtype=t.dtype, non_blocking=True)
        if self.plus:
            order = t.detach().argsort(descending=True, stable=True)
            margins = torch.empty_like(margins).scatter_(0, order, margins.sort().values)
        return arc(t, margins) if self.base == "arcface" else t - margins
