"""Fixed margins on the target logit. Each meets `arcterm_registry.contracts.Margin`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from arcterm.losses.angles import Fallback, Gradient, angle, arc, passed
from arcterm.losses.plain import NormFace


@dataclass(kw_only=True)
class CosFace(NormFace):
    """Target cos θ - m."""

    margin: float

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return t - self.margin


@dataclass(kw_only=True)
class ArcFace(NormFace):
    """Target cos(θ + m); see `angles.arc` for what happens past θ = π - m."""

    margin: float
    easy_margin: bool
    fallback: Fallback
    gradient: Gradient

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return passed(t, arc(t, self.margin, self.fallback, easy=self.easy_margin), self.gradient)


@dataclass(kw_only=True)
class Combined(NormFace):
    """Target cos(m1·θ + m2) - m3.

    Past m1·θ + m2 = π, ``line`` goes on as a line of slope 1 in cos θ that starts as far below -1 as
    ArcFace's does; with m1 = 1 it is ArcFace's.
    """

    m1: float
    m2: float
    m3: float
    fallback: Fallback
    gradient: Gradient

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        turns = self.m1 * angle(t) + self.m2
        value = turns.cos()
        if self.fallback == "clip":
            value = torch.where(turns < math.pi, value, -1.0)
        elif self.fallback == "line":
            last = math.cos((math.pi - self.m2) / self.m1)
            start = -self.m2 * math.sin(self.m2) - math.cos(self.m2)
            value = torch.where(turns < math.pi, value, start + (t - last))
        return passed(t, value - self.m3, self.gradient)


@dataclass(kw_only=True)
class LiArc(NormFace):
    """Target 1 - 2(θ + m)/π; the others 1 - 2θ/π, or with `others` ``cosine`` plain cosines."""

    margin: float
    others: str

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return 1 - (angle(t) + self.margin) * (2 / math.pi)

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        return 1 - angle(tile) * (2 / math.pi) if self.others == "linear" else tile


@dataclass(kw_only=True)
class Circle(NormFace):
    """Target [1 + m - t]₊·(t - (1 - m)), others [c + m]₊·(c - m); the brackets carry no gradient."""

    margin: float

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return (1 + self.margin - t).clamp_min(0).detach() * (t - (1 - self.margin))

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        return (tile + self.margin).clamp_min(0).detach() * (tile - self.margin)
