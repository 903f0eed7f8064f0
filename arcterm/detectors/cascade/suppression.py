"""Non-maximum suppression: of boxes that overlap, the one of the best score stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 512  # candidates whose overlaps with each other are computed at once
_KEPT = 4096  # and of those with the boxes that stay already

Boxes = NDArray[np.float64]


def suppress(
    boxes: Boxes, scores: NDArray[np.float64], limit: float, *, smaller: bool = False
) -> NDArray[np.int64]:
    """Return the indices of the boxes (n, 4) that stay, the best score first.

    A box goes if a better one that stays shares more than `limit` with it: of their union, or, with
    `smaller`, of the smaller of them. Sides are counted with both ends.
    """
    order = np.argsort(scores)[::-1]
    ranked = boxes[order]
    areas = (ranked[:, 2] - ranked[:, 0] + 1) * (ranked[:, 3] - ranked[:, 1] + 1)
    kept = np.empty(0, np.int64)
    for start in range(0, len(order), _BLOCK):
        block = np.arange(start, min(start + _BLOCK, len(order)))
        for part in range(0, len(kept), _KEPT):
            better = kept[part : part + _KEPT]
            shares = _shares(ranked[better], ranked[block], areas[better], areas[block], smaller)
            block = block[(shares <= limit).all(0)]
        over = ~(_shares(ranked[block], ranked[block], areas[block], areas[block], smaller) <= limit)
        kept = np.concatenate([kept, block[_stay(over)]])
    return order[kept]


def _shares(a: Boxes, b: Boxes, area_a: Boxes, area_b: Boxes, smaller: bool) -> Boxes:
    """Return how much each of `a` (n) shares with each of `b` (m): (n, m)."""
    width = np.minimum(a[:, 2, None], b[:, 2]) - np.maximum(a[:, 0, None], b[:, 0]) + 1
    height = np.minimum(a[:, 3, None], b[:, 3]) - np.maximum(a[:, 1, None], b[:, 1]) + 1
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    whole = np.minimum(area_a[:, None], area_b) if smaller else area_a[:, None] + area_b - shared
    with np.errstate(divide="ignore", invalid="ignore"):  # a box turned inside out shares what is no number
        return np.asarray(shared / whole, np.float64)


def _stay(over: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return who stays, in the order of the rows: each that stays removes those after it that it covers."""
    gone = np.zeros(len(over), np.bool_)
    stay = []
    for row in range(len(over)):
        if not gone[row]:
            stay.append(row)
            gone |= over[row]
    return np.array(stay, np.int64)
