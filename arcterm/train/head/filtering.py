"""Which images of a batch the way back makes products for, where the head is filtered."""

from __future__ import annotations

from torch import Tensor

_ROUNDING = 2.0**-9  # of bfloat16, relative


def heaviest(grad: Tensor) -> tuple[Tensor, Tensor]:
    """Sort the images of a batch by how much their rivals weigh, and count those that matter in bfloat16.

    `grad` (B,) is the loss's derivative by each image's log-sum: the share g that its rivals have in it,
    which vanishes for an image that is told apart from all of them. Returns their order, heaviest first, and
    the number of those that count, 0-d int64. An image's rivals have shares p of its log-sum, which add up to
    1: the coefficients g·p, by which features and rivals enter each other's gradients, have a norm of at most
    g. bfloat16 rounds each by up to 2⁻⁹ of itself. Images are left out from the lightest up while

        √(Σ g² of those left out) < 2⁻⁹ · ‖g‖

    so what is lost of the gradient of all features has a norm below 2⁻⁹·‖g‖, the sum of products with unit
    rows, and an image that counts keeps its own. A whole image at a time, and not a tile of classes: the
    rivals that matter of an image that is not told apart lie scattered over all tiles.
    """
    order = grad.abs().argsort(descending=True, stable=True)
    square = grad[order].double().square()
    rest = square.flip(0).cumsum(0).flip(0)
    # so that a number which is none, or an endless one, is never left out
    counts = ~(rest < (_ROUNDING**2 * square.sum()))
    return order, counts.sum()
