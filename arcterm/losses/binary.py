"""Losses that decide about each class by itself; their threshold b is learned, one for all classes."""

from __future__ import annotations

import math

import torch
from arcterm_registry.contracts import Margin
from torch import Tensor, nn

from arcterm.losses.angles import Gradient, passed


class SphereFace2(Margin, nn.Module):
    """SphereFace2-C: z_y = r·(g(t) - m) + b, z_j = r·(g(c_j) + m) + b, g(c) = 2·((c + 1)/2)^e - 1.

    The loss is weight/r times the binary cross-entropies, α on the positive and 1 - α on the negatives. b
    starts where the two parts balance (closed form of the authors, OpenSphere `sphereface2.py`).
    """

    reduction = "sum"

    def __init__(
        self,
        *,
        margin: float,
        scale: float,
        alpha: float,
        t: float,
        weight: float,
        gradient: Gradient,
    ) -> None:
        super().__init__()
        self.margin = margin
        self.scale = scale
        self.alpha = alpha
        self.exponent = t
        self.gradient: Gradient = gradient
        self.weight = weight
        self.b = nn.Parameter(torch.zeros(()))

    @property
    def positive_weight(self) -> float:  # type: ignore[override]  # follows the scale
        return self.weight * self.alpha / float(self.scale)

    @property
    def negative_weight(self) -> float:  # type: ignore[override]
        return self.weight * (1 - self.alpha) / float(self.scale)

    def prepare(self, classes: int, seed: int) -> None:
        """Set b to where positive and negative gradients balance at cosine 0."""
        z = self.alpha / ((1 - self.alpha) * max(classes - 1, 1))
        orthogonal = 2 * 0.5**self.exponent - 1
        positive = self.scale * (orthogonal - self.margin)
        negative = self.scale * (orthogonal + self.margin)
        root = math.sqrt((1 - z) ** 2 + 4 * z * math.exp(positive - negative))
        # one number in two forms: each cancels where the other does not
        few = z > 1
        share = (root + z - 1) / 2 if few else 2 * z / (1 - z + root)
        with torch.no_grad():
            self.b.fill_(math.log(share) - (positive if few else negative))

    def _stretched(self, c: Tensor) -> Tensor:
        return 2 * ((c.clamp(-1, 1) + 1) / 2) ** self.exponent - 1

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return passed(t, self._stretched(t) - self.margin, self.gradient) + self.b / self.scale

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        return passed(tile, self._stretched(tile) + self.margin, self.gradient) + self.b / self.scale


class UniFace(Margin, nn.Module):
    """Unified cross-entropy: z_y = s·(t - m) - b, z_j = s·c_j - b; b starts at log(10·C)."""

    reduction = "sum"

    def __init__(self, *, margin: float, scale: float, weight: float) -> None:
        super().__init__()
        self.margin = margin
        self.scale = scale
        self.negative_weight = weight
        self.b = nn.Parameter(torch.zeros(()))

    def prepare(self, classes: int, seed: int) -> None:
        with torch.no_grad():
            self.b.fill_(math.log(10 * classes))

    def target(self, t: Tensor, norm: Tensor, step: int) -> Tensor:
        return t - self.margin - self.b / self.scale

    def negatives(self, tile: Tensor, t: Tensor) -> Tensor:
        return tile - self.b / self.scale
