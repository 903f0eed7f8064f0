"""The largest scores of all probes with a gallery, as far as a pass over it has come.

Of P·N pairs the `most` with the largest canonical scores are known exactly, and so are thresholds and counts
among them. A larger share of pairs is never in memory: when there is no more room for candidates, those that
can't be among the `most` any more go. With e the bound of rounding and F the `most`-th largest product, those
have products below F - 2e.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.search.best import Rescore
from arcterm.search.exact import higher, lower
from arcterm.search.products import CandidatePairs, Floats

_ROOM = 1 << 20  # for new candidates
Pairs = NDArray[np.uint32]
"""(2, n): places of probes, and of gallery rows."""


class Tail:
    """Candidates for the `most` largest scores; `floor` is a product that is too small to matter any more."""

    def __init__(self, most: int, error: float, rescore: Rescore) -> None:
        self.most, self._error, self._rescore = most, error, rescore
        self._room = max(most // 3, _ROOM)
        size = most + self._room
        self._values, self._pairs = np.empty(size, np.float32), np.empty((2, size), np.uint32)
        self._count = 0
        self.floor = np.float32(-np.inf)

    def add(self, found: CandidatePairs) -> None:
        """Take candidates, of which fewer come at a time than there is room for, and none twice."""
        new = found.where(found.values > self.floor)
        if self._count + len(new.rows) > len(self._values):
            self._compact()
        some = slice(self._count, self._count + len(new.rows))
        self._pairs[0, some], self._pairs[1, some], self._values[some] = new
        self._count = some.stop

    def largest(self, most: int) -> Largest:
        """Sort the candidates for the `most` largest scores."""
        values = self._values[: self._count]
        if most < self._count // 2:
            some = np.flatnonzero(values > self._floor(most))
            order = some[np.argsort(values[some])]
            chosen = values[order], self._pairs[:, order]
        else:  # nearly all: they are sorted in their place, which takes less memory
            if self._count > self.most:
                self._compact()
            self._sort()
            chosen = self._values[: self._count], self._pairs[:, : self._count]
        return Largest(*chosen, most, self._error, self._rescore)

    def __len__(self) -> int:
        return self._count

    def part(self, some: slice) -> CandidatePairs:
        """Some of the candidates."""
        within = slice(*some.indices(self._count))
        probes, rows = self._pairs[:, within].astype(np.int64)
        return CandidatePairs(probes, rows, self._values[within])

    def clear(self) -> None:
        """Forget the candidates, but not the floor."""
        self._count = 0

    def _floor(self, most: int) -> np.float32:
        least = np.partition(self._values[: self._count], self._count - most)[self._count - most]
        found: np.float32 = lower(np.array([least], np.float64) - 2 * self._error)[0]
        return found

    def _compact(self) -> None:
        values, self.floor = self._values[: self._count], self._floor(self.most)
        kept = values > self.floor
        if np.count_nonzero(kept) > self.most + self._room // 2:  # near-equal products make them too many
            places = np.flatnonzero(kept)
            scores = self._rescore(*self._pairs[:, places].astype(np.int64))
            kept[places[np.argsort(-scores)[self.most :]]] = False
        self._count = int(np.count_nonzero(kept))
        # the last ones come where others went: fewer move than if all closed up
        gaps = np.flatnonzero(~kept[: self._count])
        movers = np.flatnonzero(kept[self._count :]) + self._count
        for column in (self._values, *self._pairs):
            column[gaps] = column[movers]

    def _sort(self) -> None:
        order = np.argsort(self._values[: self._count])
        for column in (self._values, *self._pairs):
            column[: self._count] = column[order]


class PlacedScore(NamedTuple):
    """A `score`, how many scores are `above` it, and how many `reach` it, which are these and its equals.

    A count of `Largest.most` or more means that many or more.
    """

    score: float
    above: int
    reach: int


class Largest:
    """The `most` largest scores, and some below: products (n,), the smallest first, and their pairs."""

    def __init__(self, values: Floats, pairs: Pairs, most: int, error: float, rescore: Rescore) -> None:
        self.most = most
        self._values, self._pairs, self._error, self._rescore = values, pairs, error, rescore

    def find(self, place: int) -> PlacedScore:
        """Find the `place`-th largest score, from 1 to `most`; -inf if there are fewer."""
        count = len(self._values)
        if place > count:
            return PlacedScore(-np.inf, count, count)
        # what has a product larger by 2e has a larger score: the score is one of those in between
        start, stop = self._around(float(self._values[count - place]), 2 * self._error)
        scores, at = self._scores(start, stop), count - place - start
        score = float(np.partition(scores, at)[at])
        # within 2e of the product is all that could equal the score, which lies within e of it
        above, equal = count - stop + int((scores > score).sum()), int((scores == score).sum())
        return PlacedScore(score, above, above + equal)

    def count(self, mark: float) -> int:
        """Count the scores of at least a mark; `most` or more means that many or more."""
        start, stop = self._around(mark, self._error)
        return len(self._values) - stop + int((self._scores(start, stop) >= mark).sum())

    def _around(self, value: float, distance: float) -> tuple[int, int]:
        """Where the products begin that are no farther than `distance` from a value, and where they end."""
        least, most = lower(np.array([value - distance])), higher(np.array([value + distance]))
        ends = self._values.searchsorted(least, "left"), self._values.searchsorted(most, "right")
        return int(ends[0][0]), int(ends[1][0])

    def _scores(self, start: int, stop: int) -> NDArray[np.float64]:
        probes, rows = self._pairs[:, start:stop].astype(np.int64)
        return self._rescore(probes, rows)
