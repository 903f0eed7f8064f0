"""Multiplied angles: SphereFace as it was first trained, and its revival on a fixed scale."""

from __future__ import annotations

from dataclasses import dataclass

from arcterm_registry.contracts import Margin
from torch import Tensor

from arcterm.losses.angles import Gradient, falling, passed
from arcterm.losses.plain import NormFace

_MANY = 20_000  # classes above which the 2018 scripts annealed later and slower


@dataclass(kw_only=True)
class SphereFace(Margin):
    """Target ‖x‖·(λ·cos θ + ψ(θ)) / (1 + λ) on raw feature norms; λ falls as training goes on."""

    margin: float
    start: float
    floor: float
    gamma: float | None = None
    power: float
    freeze: int | None = None
    scale: float = 1.0
    normalized_features: bool = False

    def prepare(self, classes: int, seed: int) -> None:
        """Settle when and how fast λ falls."""
        many = classes > _MANY
        self.gamma = (0.06 if many else 0.12) if self.gamma is None else self.gamma
        self.freeze = (5000 if many else 0) if self.freeze is None else self.freeze

    def share(self, step: int) -> float:
        """λ at `step`, from 1: what 2018 computed after the step before."""
        late = max(0, step - 1 - (self.freeze or 0))
        gamma = 0.12 if self.gamma is None else self.gamma
        return float(max(self.floor, self.start * (1 + gamma * late) ** -self.power)) if late else self.start

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        share = self.share(step)
        return (share * t + falling(t, self.margin)) / (1 + share)


@dataclass(kw_only=True)
class SphereFaceR(NormFace):
    """Target s·ψ(θ), any factor ≥ 1."""

    margin: float
    gradient: Gradient

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return passed(t, falling(t, self.margin), self.gradient)
