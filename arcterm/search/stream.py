"""One pass over a gallery: the best rows of each probe, and the largest scores of all, exactly, at any point.

Each rank searches a part of the rows that come next; where something is asked, the first rank takes over
what the others found. Only canonical scores decide, so that neither the size of blocks, nor the number of
ranks, nor the device changes a bit of an answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.errors import FailedError
from arcterm.search import exact
from arcterm.search.best import BestRows
from arcterm.search.products import CandidatePairs, Floats, Whole, products_on
from arcterm.search.tail import Tail
from arcterm.verify.ranks import RankGroup

_RESCORED = 1 << 12  # pairs whose rows are fetched at a time
_FIRST = 128  # rows of a block while nothing is known
_ROUND = 16  # blocks between two calls of `done`
_SENT = 1 << 18  # candidates that a rank sends at a time
_CHECKED = 256  # products that are compared with canonical scores


class GalleryRows(Protocol):
    """Normalised float32 rows (N, D); those that are `removed` (N,) match nobody, and may be anything."""

    @property
    def removed(self) -> NDArray[np.bool_]: ...
    def rows(self, rows: Whole | slice) -> Floats:
        """Return some of the rows, (n, D)."""


class GalleryPass:
    """A pass of normalised `probes` (P, D) over a gallery: first `advance`, then `collect`, and so on.

    After `collect` the first rank's `best` has the `most` best rows of each probe among the `seen`, sorted,
    its `tail` the `tail` largest scores of all pairs; the other ranks' are empty. Neither has removed rows.
    """

    def __init__(
        self, probes: Floats, gallery: GalleryRows, *, most: int, tail: int, ranks: RankGroup
    ) -> None:
        self.probes, self.gallery, self.ranks = probes, gallery, ranks
        self.seen = 0
        self._products = products_on(ranks.device, probes)
        error = exact.bound(probes.shape[1])
        self.best = BestRows(len(probes), most, error, self._products.width, self.rescore)
        self.tail = Tail(tail, error, self.rescore)
        self._error, self._checked = error, False

    def advance(self, stop: int, done: Callable[[int], None] = lambda _: None) -> None:
        """Search the rows from those `seen` up to `stop`; all ranks call it.

        `done` is called with the rows that are done, by each rank equally often.
        """
        width, count = self._products.width, stop - self.seen
        part = -(-count // self.ranks.size)
        first = min(self.seen + self.ranks.rank * part, stop)
        last = min(first + part, stop)
        for start in range(0, part, _ROUND * width):
            at, end = first + start, min(first + start + _ROUND * width, last)
            while at < end:
                # at first every pair is a candidate: small blocks then take less memory
                known = np.isfinite(self.tail.floor) and bool(np.isfinite(self.best.floors).all())
                until = min(at + (width if known else min(_FIRST, width)), end)
                self._search(at, until)
                at = until
            done(min(self.seen + (start + _ROUND * width) * self.ranks.size, stop))
        self.seen = stop

    def _search(self, start: int, stop: int) -> None:
        block = self.gallery.rows(slice(start, stop))
        removed = np.flatnonzero(self.gallery.removed[start:stop])
        floors = np.minimum(self.best.floors, self.tail.floor)
        for found in self._products.above(block, removed, floors):
            candidates = found._replace(rows=found.rows + start)
            if not self._checked:
                self._check(candidates)
            self.best.add(candidates)
            self.tail.add(candidates)

    def rescore(self, probes: Whole, rows: Whole) -> NDArray[np.float64]:
        """Compute the canonical scores (n,) of pairs, given by places (n,) of probes and of gallery rows."""
        scores = np.empty(len(rows))
        for start in range(0, len(rows), _RESCORED):
            some = slice(start, start + _RESCORED)
            scores[some] = exact.scores(self.probes[probes[some]], self.gallery.rows(rows[some]))
        return scores

    def _check(self, found: CandidatePairs) -> None:
        """Raise `FailedError` if products are farther from canonical scores than rounding in float32."""
        some = slice(None, None, -(-len(found.rows) // _CHECKED))
        scores = self.rescore(found.probes[some], found.rows[some])
        if (abs(scores - found.values[some]) > self._error).any():
            raise FailedError(
                "this machine multiplies matrices less exactly than float32 does",
                "unset NVIDIA_TF32_OVERRIDE and what else allows TF32 or bfloat16",
            )
        self._checked = True

    def collect(self) -> None:
        """Bring what all ranks found to the first, and to all how small a product is not worth a look."""
        self.best.sort()
        if self.ranks.size > 1:
            self._collect_best()
            self._collect_tail()
            if self.ranks.first:
                self.best.sort()
            else:
                self.best.clear()
                self.tail.clear()
            floors = self._gather(np.append(self.best.floors, self.tail.floor))[0]
            self.best.floors[:], self.tail.floor = floors[:-1], floors[-1]

    def _collect_best(self) -> None:
        count = self._gather(self.best.counts.max(keepdims=True)).max()
        step = min(max(1, _SENT // len(self.probes)), self._products.width)
        for start in range(0, count, step):
            keys = self._gather(self.best.keys[:, start : start + step].view(np.int64))
            for other in keys[1:] if self.ranks.first else ():
                self.best.add_keys(other.view(np.uint64))

    def _collect_tail(self) -> None:
        counts = self._gather(np.array([len(self.tail)]))[:, 0]
        for start in range(0, counts.max(), _SENT):
            own = self.tail.part(slice(start, start + _SENT))
            sent = [np.resize(each, _SENT) for each in own]  # of equal length on all ranks
            for rank, parts in enumerate(zip(*map(self._gather, sent), strict=True)):
                number = min(max(counts[rank] - start, 0), _SENT)
                if self.ranks.first and rank > 0:
                    self.tail.add(CandidatePairs(*parts).part(slice(number)))

    def _gather(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Gather an array (n, …) of each rank as (ranks, n, …)."""
        own = torch.from_numpy(np.ascontiguousarray(array))
        return self.ranks.gather(own).numpy().reshape(self.ranks.size, *array.shape)
