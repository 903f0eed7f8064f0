"""True- and false-accept rates of pairs at fixed thresholds: TAR at FAR, ROC, AUC, EER.

Everything here is of (P,) float64 distances, of which a smaller one is nearer, and (P,) bool `same`. A pair
is accepted where distance < threshold, strictly. The false-accept rate (FAR) is the share of impostor pairs
that are accepted, the true-accept rate (TAR) that of genuine pairs. There are no folds: a threshold is set on
all pairs and applied to them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Distances = NDArray[np.float64]

FARS = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""False-accept rates at which the true-accept rate is reported."""

MAX_POINTS = 200
"""Of an ROC curve."""

_GUARD = 1e-9  # impostors: what rounding may take off a product that is a whole number


class OperatingPoint(msgspec.Struct, frozen=True):
    """Rates at one threshold: `impostors` of all impostor pairs are accepted, which is the share `far`."""

    threshold: float
    far: float
    tar: float
    impostors: int


class TarAtFar(msgspec.Struct, frozen=True):
    """The true-accept rate at a false-accept rate of `asked`, in two readings.

    `at_most` has the largest FAR that does not exceed it, `nearest` the attainable FAR with the smallest
    difference, the larger of two, as papers read it off the whole ROC. `resolved` is False where `asked` is
    below one impostor pair of all there are: then `at_most` accepts none.
    """

    asked: float
    at_most: OperatingPoint
    nearest: OperatingPoint
    resolved: bool


class Rates(msgspec.Struct, frozen=True):
    """Rates of a set with `genuine` and `impostors` pairs.

    `roc` begins with the largest TAR without an impostor and ends with (1, 1). `auc` is the probability that
    a genuine pair is nearer than an impostor pair, ties counted half. At `eer_threshold` the share of
    impostor pairs that are accepted equals that of genuine pairs that are refused, `eer`.
    """

    genuine: int
    impostors: int
    tar_at_far: list[TarAtFar]
    roc: list[OperatingPoint]
    auc: float
    eer: float
    eer_threshold: float


def measure_rates(
    distances: Distances, same: NDArray[np.bool_], fars: Sequence[float] = FARS, points: int = MAX_POINTS
) -> Rates | None:
    """Measure the rates of a set at `fars`, with at most `points` of its ROC; None if one kind is missing."""
    pairs = split_pairs(distances, same)
    if not len(pairs.genuine) or not len(pairs.impostors):
        return None
    eer, eer_threshold = _equal_error(pairs)
    return Rates(
        genuine=len(pairs.genuine),
        impostors=len(pairs.impostors),
        tar_at_far=[tar_at_far(pairs, far) for far in fars],
        roc=_roc(pairs, points),
        auc=_auc(pairs),
        eer=eer,
        eer_threshold=eer_threshold,
    )


def cosine(threshold: float) -> float:
    """Cosine at a squared L2 distance of normalised embeddings."""
    return 1 - threshold / 2


class SortedPairs(NamedTuple):
    """Distances of genuine and of impostor pairs, each ascending."""

    genuine: Distances
    impostors: Distances

    @property
    def beyond(self) -> float:
        """The smallest threshold that accepts every pair."""
        return float(np.nextafter(max(self.genuine[-1], self.impostors[-1]), np.inf))

    def points(self, thresholds: Distances) -> list[OperatingPoint]:
        """Count the pairs below each threshold."""
        accepted = np.searchsorted(self.impostors, thresholds)
        fars = accepted / len(self.impostors)
        tars = np.searchsorted(self.genuine, thresholds) / len(self.genuine)
        columns = (column.tolist() for column in (thresholds, fars, tars, accepted))
        return [OperatingPoint(*row) for row in zip(*columns, strict=True)]

    def after(self, impostors: int) -> OperatingPoint:
        """Rates at the largest threshold that accepts no more than the nearest `impostors`."""
        inside = impostors < len(self.impostors)
        return self.points(np.array([self.impostors[impostors] if inside else self.beyond]))[0]


def split_pairs(distances: Distances, same: NDArray[np.bool_]) -> SortedPairs:
    """Sort the distances of each kind of pair."""
    return SortedPairs(np.sort(distances[same]), np.sort(distances[~same]))


def tar_at_far(pairs: SortedPairs, far: float) -> TarAtFar:
    """Read the TAR at a FAR of `far`, 0..1, exactly: the k + 1-th nearest impostor is the threshold.

    k = ⌊N·far⌋ of N impostors. Where several have that distance, fewer than k are accepted.
    """
    total = len(pairs.impostors)
    allowed = allowed_of(total, far)
    below = pairs.after(allowed)
    # the next attainable FAR accepts all that are as near as the first that was refused
    above = pairs.after(int(np.searchsorted(pairs.impostors, below.threshold, "right")))
    nearest = above if abs(above.far - far) <= abs(below.far - far) else below
    return TarAtFar(asked=far, at_most=below, nearest=nearest, resolved=allowed >= 1)


def allowed_of(total: int, far: float) -> int:
    """How many of `total` impostors, pairs or probes, may be accepted at a rate of at most `far`."""
    return min(int(total * far + _GUARD), total)


def _roc(pairs: SortedPairs, most: int) -> list[OperatingPoint]:
    """The largest TAR at each attainable FAR; of more than `most` those at FARs in about equal ratios."""
    impostors, total = pairs.impostors, len(pairs.impostors)
    if np.count_nonzero(impostors[1:] != impostors[:-1]) + 2 > most:
        grid = np.geomspace(1, total, most - 2).astype(np.int64)
        chosen = impostors[np.minimum(grid, total - 1)]
        # impostors nearer than each of these distances
        steps = np.unique(np.append(np.searchsorted(impostors, chosen), 0))
    else:
        steps = np.flatnonzero(np.diff(impostors, prepend=-np.inf))
    return pairs.points(np.append(impostors[steps], pairs.beyond))


def _auc(pairs: SortedPairs) -> float:
    """Mann and Whitney's U over its largest value; the counts are whole numbers, so that this is exact."""
    nearer = np.searchsorted(pairs.impostors, pairs.genuine, "left").sum(dtype=np.int64)
    nearer_or_as_near = np.searchsorted(pairs.impostors, pairs.genuine, "right").sum(dtype=np.int64)
    combinations = len(pairs.genuine) * len(pairs.impostors)
    return (2 * combinations - int(nearer) - int(nearer_or_as_near)) / (2 * combinations)


def _equal_error(pairs: SortedPairs) -> tuple[float, float]:
    """Equal-error rate and its threshold: where straight lines between the ROC's points have FAR = 1 - TAR.

    FAR + TAR grows with the threshold from 0 to 2; the line is between the last point below 1 and the next.
    The sum is counted in whole numbers, so that a point that lies on FAR = 1 - TAR is met exactly.
    """
    wanted = len(pairs.genuine) * len(pairs.impostors)

    def accepted(threshold: float) -> int:
        return int(np.searchsorted(pairs.impostors, threshold))

    def rates(threshold: float) -> int:
        genuine = int(np.searchsorted(pairs.genuine, threshold))
        return accepted(threshold) * len(pairs.genuine) + genuine * len(pairs.impostors)

    # among millions of distances, found by bisection of each kind
    before, after = -np.inf, pairs.beyond
    for distances in pairs:
        place = bisect_left(range(len(distances)), wanted, key=lambda at: rates(float(distances[at])))
        if place < len(distances):
            after = min(after, float(distances[place]))
        if place:
            before = max(before, float(distances[place - 1]))
    ends = [before, after]
    sums = [rates(end) for end in ends]
    eer = np.interp(wanted, sums, [accepted(end) / len(pairs.impostors) for end in ends])
    return float(eer), float(np.interp(wanted, sums, ends))
