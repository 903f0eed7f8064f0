"""Losses without a margin. Each meets `arcterm_registry.contracts.Margin`, whose default target is t."""

from __future__ import annotations

from dataclasses import dataclass, field

from arcterm_registry.contracts import Margin


@dataclass(kw_only=True)
class Softmax(Margin):
    """Logits W·x + b of raw weights and features."""

    scale: float = 1.0
    normalized_weights: bool = False
    normalized_features: bool = False
    bias: bool = True


@dataclass(kw_only=True)
class NormFace(Margin):
    """Logits s·cos θ; those with a margin build on it."""

    scale: float = field()  # required: without a field the dataclass takes Margin's value for a default
