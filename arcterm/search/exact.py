"""The canonical score of two feature vectors, and how far a float32 matrix product may be from it.

A matrix product sums in an order that depends on shapes, blocks, threads and device, so that its last bits
differ from one call to the next. Ranks and thresholds are decided on `scores` instead, whose bits depend on
the two vectors alone; the matrix product only says which pairs are near enough to a decision (`bound`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNIT = 1e-3
"""The largest deviation from 1 of the norm of a vector that is taken for normalised."""

_PAIRS = 1 << 12  # whose rows are fetched at a time
_BLOCK = 1 << 16  # float64 products at a time: half a MiB
_ROUNDING = 2.0**-24  # of float32
_MARGIN = 1.01  # norms of up to 1 + UNIT each, underflow, and the rounding of the canonical score itself


def scores(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """Dot products of the rows of `a` with the rows of `b`, both (N, D); returns (N,).

    The product of two float32 numbers is exact in float64. The products are added in halves, element by
    element, which IEEE 754 fixes to the bit: `sum` or a BLAS may order them by the shape of the array.
    """
    rows, width = a.shape
    found = np.zeros(rows)
    step = max(1, _BLOCK // max(width, 1))
    for start in range(0, rows if width else 0, step):
        block = slice(start, start + step)
        terms = a[block].astype(np.float64)
        terms *= b[block]
        left = width
        while left > 1:
            half = (left + 1) // 2  # of an odd number the middle one waits for the next round
            terms[:, : left - half] += terms[:, half:left]
            left = half
        found[block] = terms[:, 0]
    return found


def pair_scores(
    a: NDArray[np.float32], b: NDArray[np.float32], rows: NDArray[np.int64], others: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Compute the `scores` (n,) of pairs: of `rows` (n,) of `a` (N, D) and of `others` (n,) of `b` (M, D)."""
    found = np.empty(len(rows))
    for start in range(0, len(rows), _PAIRS):
        some = slice(start, start + _PAIRS)
        found[some] = scores(a[rows[some]], b[others[some]])
    return found


def bound(width: int) -> float:
    """The largest difference between a float32 dot product of two unit vectors and their canonical score.

    |fl(a·b) - a·b| ≤ γ_D ‖a‖ ‖b‖ with γ_D = D·u / (1 - D·u), u = 2⁻²⁴, in any order of summation, with or
    without fused multiply-add (Higham, Accuracy and Stability of Numerical Algorithms, 3.1). It does not hold
    for products in TF32 or bfloat16.
    """
    rounding = width * _ROUNDING
    return _MARGIN * rounding / (1 - rounding)


def lower(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Float32 numbers below `values`."""
    return np.nextafter(values.astype(np.float32), np.float32(-np.inf))


def higher(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Float32 numbers above `values`."""
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))
