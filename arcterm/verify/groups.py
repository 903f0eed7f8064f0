"""Accuracy by groups of pairs, such as RFW's four, and how far the groups lie apart."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.verify.protocol import MAX_FAR, Verification, evaluate_distances, one_kind
from arcterm.verify.rates import Distances, split_pairs, tar_at_far

FOLDS = 10


class GroupScore(msgspec.Struct, frozen=True):
    """The score of one group within itself, and its rates at the threshold that all groups share.

    `accuracy`, `std` and `threshold` are the protocol's on the group's own pairs, None where `withheld` says
    why. `tar` is None without genuine pairs, `far` without impostor pairs.
    """

    name: str
    pairs: int
    accuracy: float | None
    std: float | None
    threshold: float | None
    tar: float | None
    far: float | None
    withheld: str = ""


class GroupScores(msgspec.Struct, frozen=True):
    """All groups in the order of their first pairs.

    `threshold` is shared: that for a FAR of at most 1e-3 on all pairs, None if they are of one kind. `spread`
    is the largest accuracy less the smallest, `std` the population standard deviation of the accuracies; both
    are None for fewer than two groups with one.
    """

    groups: list[GroupScore]
    threshold: float | None
    spread: float | None
    std: float | None


def measure_groups(distances: Distances, same: NDArray[np.bool_], groups: Sequence[str]) -> GroupScores:
    """Score pairs (P,) by the group that each belongs to; folds are contiguous within a group."""
    threshold = (
        None if one_kind(same) else tar_at_far(split_pairs(distances, same), MAX_FAR).at_most.threshold
    )
    names = list(dict.fromkeys(groups))
    number = {name: index for index, name in enumerate(names)}
    of_each = np.array([number[name] for name in groups])
    scores = [
        _score(name, distances[of_each == index], same[of_each == index], threshold)
        for index, name in enumerate(names)
    ]
    accuracies = [score.accuracy for score in scores if score.accuracy is not None]
    several = len(accuracies) > 1
    return GroupScores(
        groups=scores,
        threshold=threshold,
        spread=max(accuracies) - min(accuracies) if several else None,
        std=float(np.std(accuracies)) if several else None,
    )


def _score(name: str, distances: Distances, same: NDArray[np.bool_], threshold: float | None) -> GroupScore:
    withheld = ""
    if len(same) < FOLDS:
        withheld = f"{len(same)} pairs can't be split into {FOLDS} folds"
    elif kind := one_kind(same):
        withheld = f"all {len(same):,} pairs are {kind}: no threshold can be wrong on them"
    scored = Verification() if withheld else evaluate_distances(distances, same, FOLDS)
    return GroupScore(
        name=name,
        pairs=len(same),
        accuracy=scored.accuracy,
        std=scored.std,
        threshold=scored.threshold,
        tar=_share_below(distances[same], threshold),
        far=_share_below(distances[~same], threshold),
        withheld=withheld,
    )


def _share_below(distances: Distances, threshold: float | None) -> float | None:
    if threshold is None or not len(distances):
        return None
    return int(np.count_nonzero(distances < threshold)) / len(distances)
