"""The search of 1:N identification: every probe's score with every template of the galleries, streamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.formats.ijb.subjects import Subjects
from arcterm.search.openset import BestScores

Vectors = NDArray[np.float64]
Whole = NDArray[np.int64]


class Enrolled(NamedTuple):
    """Templates (n,), as rows of the vectors, and the subject of each."""

    rows: Whole
    subjects: NDArray[np.int32]


class Search(NamedTuple):
    """Places (M,) from 1 of the mated probes' best mates, and the best scores of all probes."""

    places: Whole
    scores: BestScores


class MergedSearch(NamedTuple):
    """Places and mates' scores of all probes in both galleries; `impostors` are the best scores of others."""

    places: Whole
    mates: Vectors
    impostors: Vectors


def enrol(ids: NDArray[np.int32], subjects: Subjects) -> Enrolled:
    """Find templates among the ascending `ids` of the vectors, which have all of them."""
    return Enrolled(np.searchsorted(ids, subjects.templates), subjects.subjects)


def search(
    vectors: Vectors,
    galleries: Sequence[Enrolled],
    probes: Enrolled,
    fpirs: Sequence[float],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> tuple[list[Search], MergedSearch | None]:
    """Score every probe with all galleries; the second result is None where older scripts would stop.

    As in `verification.score_pairs` a score depends on its two vectors alone: equal templates of a gallery
    have equal scores to the last bit.
    """
    enrolled = vectors[np.concatenate([gallery.rows for gallery in galleries])]
    subjects = np.concatenate([gallery.subjects for gallery in galleries])
    ends = np.cumsum([len(gallery.rows) for gallery in galleries]).tolist()
    parts = [slice(end - len(gallery.rows), end) for end, gallery in zip(ends, galleries, strict=True)]
    collected = [_Collected() for _ in galleries]
    merged = _Merged(math.ceil(max(fpirs) * len(probes.rows))) if _is_once(subjects, probes) else None
    for done, (row, subject) in enumerate(zip(probes.rows, probes.subjects, strict=True), 1):
        scores, same = np.einsum("ij,j->i", enrolled, vectors[row]), subjects == subject
        for part, kept in zip(parts, collected, strict=True):
            kept.add(scores[part], same[part])
        if merged is not None:
            merged.add(scores, same)
        progress(done, len(probes.rows))
    return [kept.result() for kept in collected], None if merged is None else merged.result()


class _Collected:
    """Places and best scores in one gallery, added probe by probe."""

    def __init__(self) -> None:
        self._mated: list[tuple[int, float, float]] = []
        self._non_mated: list[float] = []

    def add(self, scores: Vectors, same: NDArray[np.bool_]) -> None:
        mates, others = scores[same], scores[~same]
        if not len(mates):
            self._non_mated.append(float(others.max()))
            return
        best = mates.max()
        place = 1 + int(np.count_nonzero(others >= best))
        self._mated.append((place, float(best), float(others.max(initial=-np.inf))))

    def result(self) -> Search:
        places, mates, others = np.array(self._mated, np.float64).reshape(-1, 3).T
        return Search(places.astype(np.int64), BestScores(mates, others, np.array(self._non_mated)))


class _Merged:
    """Places, mates' scores and the `most` best scores of others in both galleries as one, by probe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: list[int] = []
        self._mates: list[float] = []
        self._best = [np.empty(0)]

    def add(self, scores: Vectors, same: NDArray[np.bool_]) -> None:
        (mate,), others = scores[same], scores[~same]
        self._mates.append(float(mate))
        self._places.append(1 + int(np.count_nonzero(others >= mate)))
        self._best.append(others[others >= self._best[0][-1]] if len(self._best[0]) == self._most else others)
        if sum(map(len, self._best)) > 4 * self._most + len(scores):
            self._shrink()

    def _shrink(self) -> None:
        self._best = [np.sort(np.concatenate(self._best))[::-1][: self._most]]

    def result(self) -> MergedSearch:
        self._shrink()
        return MergedSearch(np.array(self._places), np.array(self._mates), self._best[0])


def _is_once(subjects: NDArray[np.int32], probes: Enrolled) -> bool:
    """Return whether every probe's subject is enrolled exactly once, without which older scripts stop."""
    known, counts = np.unique(subjects, return_counts=True)
    return bool(
        len(subjects) > 1 and len(probes.subjects) and np.isin(probes.subjects, known[counts == 1]).all()
    )
