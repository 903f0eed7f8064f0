"""1:1 verification of templates: a score for each pair, and true-accept rates at false-accept rates."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.verify.rates import OperatingPoint, TarAtFar, measure_rates

Vectors = NDArray[np.float64]
Rows = NDArray[np.int64] | NDArray[np.int32]

FEW_IMPOSTORS = 30
"""Where fewer decide, a TAR is mostly chance: IJB-B at 1e-6 has 8."""

_BLOCK = 256  # pairs: their 2 × 1 MiB of vectors of 512 numbers stay in the cache


class Tar(msgspec.Struct, frozen=True):
    """True-accept rate at a false-accept rate of `far`.

    `tar` is at the lowest threshold that accepts no more impostor pairs than that, `accepted` of all, a share
    of `realised_far`. `nearest_tar` is read at the attainable rate that is nearest, `nearest_far`, which may
    be above it: as papers do. A pair is accepted above `threshold`, strictly. Without `resolved` not one
    impostor pair may pass; `noise` says that fewer than 30 may.
    """

    far: float
    tar: float
    threshold: float
    realised_far: float
    accepted: int
    nearest_tar: float
    nearest_far: float
    resolved: bool
    noise: bool


class Verified(msgspec.Struct, frozen=True):
    """Rates of `genuine` and `impostors` pairs; `roc` has (FAR, TAR), and the equal-error rate is `eer`."""

    genuine: int
    impostors: int
    tars: list[Tar]
    roc: list[tuple[float, float]]
    auc: float
    eer: float


def score_pairs(
    vectors: Vectors,
    left: Rows,
    right: Rows,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Vectors:
    """Dot products (P,) of rows `left` and `right` of `vectors` (T, D).

    A product depends on its two rows alone, not on the block that it is in, as it would in a matrix product;
    and in this order millions of pairs need no more memory than a block does.
    """
    scores = np.empty(len(left))
    for start in range(0, len(left), _BLOCK):
        block = slice(start, start + _BLOCK)
        np.einsum("ij,ij->i", vectors[left[block]], vectors[right[block]], out=scores[block])
        progress(min(start + _BLOCK, len(left)), len(left))
    return scores


def verify(scores: Vectors, same: NDArray[np.bool_]) -> Verified | None:
    """Measure the rates of pairs by their scores (P,), larger is nearer; None for pairs of one kind only."""
    rates = measure_rates(-scores, same)
    if rates is None:
        return None
    return Verified(
        genuine=rates.genuine,
        impostors=rates.impostors,
        tars=[_tar(each, rates.impostors) for each in rates.tar_at_far],
        roc=[(point.far, point.tar) for point in rates.roc],
        auc=rates.auc,
        eer=rates.eer,
    )


def _tar(found: TarAtFar, impostors: int) -> Tar:
    value: OperatingPoint = found.at_most
    return Tar(
        far=found.asked,
        tar=value.tar,
        threshold=-value.threshold,
        realised_far=value.far,
        accepted=value.impostors,
        nearest_tar=found.nearest.tar,
        nearest_far=found.nearest.far,
        resolved=found.resolved,
        noise=found.asked * impostors < FEW_IMPOSTORS,
    )
