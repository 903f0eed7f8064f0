"""The scale of gradients in float16, whose smallest would vanish and whose largest overflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

NO_SCALE = (0.0, 0)
"""The value and the calm steps of a training without a scale."""
_FIRST, _LAST = 2.0**16, 2.0**24
_GROWS_AFTER = 2000


class GradientScale:
    """The factor of the gradient that enters the backbone; powers of two, so that it rounds nothing.

    Halved by a step whose gradient overflows, which is left out; doubled after `_GROWS_AFTER` steps without
    (Micikevicius et al. 2018, arXiv 1710.03740). The class rows have their gradient before it comes in, in
    float32: so only the backbone can overflow, and at a `value` of 1 an overflow has another cause. All ranks
    settle the same steps, so they have the same value; `calm` counts steps since it last changed.
    """

    def __init__(self, value: float = 0.0, calm: int = 0) -> None:
        self.value = value or _FIRST
        self.calm = calm

    @property
    def can_fall(self) -> bool:
        """Whether a lower value may cure an overflow."""
        return self.value > 1.0

    def enter(self, embeddings: Tensor) -> Tensor:
        """Pass on `embeddings` (B, D) to the losses, as float32; their gradient leaves multiplied."""
        scaled: Tensor = _Scaled.apply(embeddings.float(), self.value)
        return scaled

    def undo(self, gradients: Sequence[Tensor]) -> None:
        """Divide the backbone's float32 `gradients`, in place."""
        if gradients:
            torch._foreach_mul_(list(gradients), 1 / self.value)

    def settle(self, overflowed: bool) -> None:
        """Move the value after a step."""
        self.calm = 0 if overflowed else self.calm + 1
        if overflowed:
            self.value = max(1.0, self.value / 2)
        elif self.calm == _GROWS_AFTER:
            self.value, self.calm = min(_LAST, self.value * 2), 0


class _Scaled(Function):
    @staticmethod
    def forward(ctx: Any, embeddings: Tensor, value: float) -> Tensor:
        ctx.value = value
        return embeddings.view_as(embeddings)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return grads[0] * ctx.value, None
