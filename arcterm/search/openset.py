"""Open-set identification: a probe is accepted where its best score is above a threshold, strictly.

A probe whose identity is enrolled in the gallery is *mated*, another is *non-mated*. The false-positive
identification rate (FPIR) is the share of non-mated probes that are accepted. The true-positive
identification rate (TPIR) is the share of mated probes that are accepted as who they are: the mate scores
above every other entry of the gallery and above the threshold. Larger scores are nearer. An equal score
counts against the probe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.verify.rates import allowed_of

Scores = NDArray[np.float64]

FPIRS = (0.01, 0.1)
"""False-positive identification rates at which the true-positive identification rate is reported."""


class BestScores(NamedTuple):
    """The best scores of a search.

    `mates` (M,) are each mated probe's best score with its own identity, `others` (M,) with any other, -inf
    where the gallery has no other; `non_mated` (n,) are the non-mated probes' best scores.
    """

    mates: Scores
    others: Scores
    non_mated: Scores


class OpenSetPoint(msgspec.Struct, frozen=True):
    """The rates at the lowest threshold whose FPIR is at most `asked`.

    `accepted` of all non-mated probes score above it, which is the share `fpir`. `threshold` is None where
    everything may pass. `resolved` is False where `asked` is below one non-mated probe of all there are.
    """

    asked: float
    threshold: float | None
    fpir: float
    tpir: float
    accepted: int
    resolved: bool


def find_threshold(non_mated: Scores, fpir: float) -> float:
    """Find the lowest threshold that at most a share `fpir`, 0..1, of the `non_mated` scores is above.

    That is the k + 1-th largest, k = ⌊n·fpir⌋ of n; where several are equal to it, fewer than k are above.
    -inf if all may pass.
    """
    allowed = allowed_of(len(non_mated), fpir)
    if allowed >= len(non_mated):
        return -np.inf
    place = len(non_mated) - 1 - allowed
    return float(np.partition(non_mated, place)[place])


def measure_open_set(scores: BestScores, fpirs: Sequence[float] = FPIRS) -> list[OpenSetPoint]:
    """Measure the TPIR at each of `fpirs`; an empty list without mated or without non-mated probes."""
    if not len(scores.mates) or not len(scores.non_mated):
        return []
    return [_point(scores, fpir) for fpir in fpirs]


def _point(scores: BestScores, fpir: float) -> OpenSetPoint:
    threshold = find_threshold(scores.non_mated, fpir)
    accepted = int(np.count_nonzero(scores.non_mated > threshold))
    right = (scores.mates > scores.others) & (scores.mates > threshold)
    return OpenSetPoint(
        asked=fpir,
        threshold=threshold if np.isfinite(threshold) else None,
        fpir=accepted / len(scores.non_mated),
        tpir=float(np.mean(right)),
        accepted=accepted,
        resolved=allowed_of(len(scores.non_mated), fpir) >= 1,
    )
