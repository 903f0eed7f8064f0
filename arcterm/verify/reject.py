"""Error versus reject: the false non-match rate (FNMR) as pairs of low quality are discarded, in two methods.

The quality of a pair is the lower one of its two images'. The two curves are not comparable: one keeps its
threshold and discards genuine pairs, the other discards pairs of both kinds and sets its threshold anew.
"""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.verify.rates import Distances, split_pairs, tar_at_far

FARS = (1e-2, 1e-3, 1e-4)
"""False-accept rates of the thresholds."""

LIMITS = (0.2, 0.3, 0.5, 1.0)
"""Shares of discarded pairs up to which areas are taken."""

MAX_POINTS = 200
"""Of a curve at a fixed threshold; its areas are of all its points."""

MAX_BYTES = 256 << 20

_STEP = 0.05
_STEPS = np.arange(0, 0.98, _STEP)


class RejectArea(msgspec.Struct, frozen=True):
    """Area below a curve from no pair discarded to the share `limit`, and the least that is possible.

    `best` is that of a quality that discards every wrong pair first: e²/2 - max(0, e - limit)²/2, where e is
    the error with no pair discarded.
    """

    limit: float
    area: float
    best: float


class FixedReject(msgspec.Struct, frozen=True):
    """The EDC: `fnmr` of the genuine pairs that are left, one `threshold` for all of it.

    Pairs of equal quality are discarded together; `discarded` are shares of the genuine pairs, the last point
    is (1, 0), and the rate holds until the next point. `far` is what the threshold was chosen for, if it was.
    After Schlett et al., arXiv 2303.13294.
    """

    threshold: float
    discarded: list[float]
    fnmr: list[float]
    areas: list[RejectArea]
    far: float | None = None
    method: str = "fixed threshold, genuine pairs discarded"


class RecomputedReject(msgspec.Struct, frozen=True):
    """The ERC of CR-FIQA: `fnmr` at shares `discarded` of all pairs, with a threshold for each step.

    The threshold is the distance of a pair that is left whose FAR, its own distance included, is nearest to
    `far`, the larger of two; a genuine pair is accepted below it. The curve ends before a step that would
    leave one kind of pair. `area` is trapezoidal. After Boutros et al., CVPR 2023.
    """

    far: float
    discarded: list[float]
    fnmr: list[float]
    thresholds: list[float]
    area: float
    method: str = "threshold recomputed, pairs of both kinds discarded"


class Rejection(msgspec.Struct, frozen=True):
    """Both curves, each at the false-accept rates `FARS`."""

    fixed: list[FixedReject]
    recomputed: list[RecomputedReject]


def measure_rejection(
    distances: Distances, same: NDArray[np.bool_], qualities: NDArray[np.float64]
) -> Rejection | None:
    """Measure both curves of pairs (P,) by `qualities` (2P,) of their images; None if one kind is missing.

    The fixed thresholds are those for a FAR of at most each of `FARS` on all pairs.
    """
    if same.all() or not same.any():
        return None
    quality = pair_qualities(qualities)
    pairs = split_pairs(distances, same)
    thresholds = [tar_at_far(pairs, far).at_most.threshold for far in FARS]
    fixed = [
        reject_fixed(distances[same], quality[same], threshold, far)
        for threshold, far in zip(thresholds, FARS, strict=True)
    ]
    return Rejection(fixed, reject_recomputed(distances, same, quality))


def pair_qualities(qualities: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lower quality of images 2i and 2i + 1, (2P,) → (P,)."""
    return np.minimum(qualities[0::2], qualities[1::2])


def reject_fixed(
    genuine: Distances, quality: NDArray[np.float64], threshold: float, far: float | None = None
) -> FixedReject:
    """The curve of genuine pairs (P,) at a threshold; a pair is wrong where distance ≥ threshold."""
    order = np.argsort(quality, kind="stable")
    wrong = (genuine >= threshold)[order]
    left = wrong[::-1].cumsum()[::-1]  # errors among this pair and all of higher quality
    total = len(wrong)
    starts = np.flatnonzero(np.diff(quality[order], prepend=-np.inf))
    discarded = np.append(starts / total, 1)
    fnmr = np.append(left[starts] / (total - starts), 0)
    areas = [
        RejectArea(limit, _stepwise_area(discarded, fnmr, limit), _least_area(fnmr[0], limit))
        for limit in LIMITS
    ]
    kept = np.unique(np.linspace(0, len(starts), min(MAX_POINTS, len(starts) + 1)).round().astype(int))
    return FixedReject(float(threshold), discarded[kept].tolist(), fnmr[kept].tolist(), areas, far)


def reject_recomputed(
    distances: Distances, same: NDArray[np.bool_], quality: NDArray[np.float64]
) -> list[RecomputedReject]:
    """The curves of pairs (P,) at each of `FARS`, 0, 5, … 95 % of the pairs discarded."""
    order = np.argsort(quality, kind="stable")
    rows: list[list[tuple[float, float]]] = []
    for step in _STEPS:
        left = order[int(step * len(order)) :]
        if same[left].all() or not same[left].any():
            break
        rows.append(_recompute(distances[left], same[left]))
    discarded = _STEPS[: len(rows)]
    curves = []
    for far, points in zip(FARS, zip(*rows, strict=True), strict=False):
        thresholds, fnmr = map(list, zip(*points, strict=True))
        area = sum((a + b) / 2 for a, b in pairwise(fnmr)) * _STEP
        curves.append(RecomputedReject(far, discarded.tolist(), fnmr, thresholds, area))
    return curves


def _recompute(distances: Distances, same: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Threshold and FNMR for each of `FARS`."""
    pairs = split_pairs(distances, same)
    thresholds = np.sort(distances)
    fars = np.searchsorted(pairs.impostors, thresholds, "right") / len(pairs.impostors)
    found = []
    for far in FARS:
        nearest = len(fars) - 1 - np.abs(fars - far)[::-1].argmin()
        accepted = np.searchsorted(pairs.genuine, thresholds[nearest]) / len(pairs.genuine)
        found.append((float(thresholds[nearest]), float(1 - accepted)))
    return found


def _stepwise_area(discarded: NDArray[np.float64], fnmr: NDArray[np.float64], limit: float) -> float:
    widths = np.diff(np.minimum(discarded, limit), append=limit)
    return float((fnmr * widths).sum())


def _least_area(error: float, limit: float) -> float:
    return float(error**2 / 2 - max(0.0, error - limit) ** 2 / 2)


def read_qualities(path: Path, count: int) -> NDArray[np.float64]:
    """Read a quality for each of `count` images of a set, in its order: the last field of each line.

    Fields are separated by blanks, tabs or commas; empty lines are passed over. Raises `DataError` naming the
    line that has no finite number, or for another number of lines.
    """
    hint = "write one number a line, higher for better, for each image of the set in its order"
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES} bytes: it is no list of qualities", hint)
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check the path") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} isn't text: byte {error.start} isn't UTF-8", hint) from None
    values = []
    for number, line in enumerate(text.split("\n"), 1):
        if not (fields := line.replace(",", " ").split()):
            continue
        try:
            values.append(float(fields[-1]))
        except ValueError:
            values.append(math.nan)
        if not math.isfinite(values[-1]):
            raise DataError(f"{path} line {number}: {fields[-1][:40]!r} is no quality", hint)
    if len(values) != count:
        raise DataError(f"{path} has qualities of {len(values)} images, the set has {count}", hint)
    return np.array(values, np.float64)
