"""The best gallery rows of each probe, as far as a pass over the gallery has come.

A probe has a row of slots for candidates: those that may be among its `most` best by canonical score, and
new ones, until the slots are full. Then the candidates are sorted, and those that can't be among the best any
more go: with e the bound of rounding and F the `most`-th largest product, a score of the best is at least
F - e, so that its product is at least F - 2e.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from arcterm.search.exact import higher, lower
from arcterm.search.products import CandidatePairs, Floats, Whole

Keys = NDArray[np.uint64]
Rescore = Callable[[Whole, Whole], NDArray[np.float64]]
"""Canonical scores (n,) of pairs, which are places of probes (n,) and of gallery rows (n,)."""

_SLACK = 256  # candidates beyond the best that rounding leaves undecided, before they are rescored
_GROUP = 256  # probes that are sorted at a time
_PAIRS = 1 << 18  # that are rescored at a time
_EMPTY = np.uint64(2**64 - 1)
_LOW = np.uint64(2**32 - 1)
_SHIFT = np.uint64(32)


class BestRows:
    """The `most` best of each probe; `floors` (P,) are products that are too small to matter any more.

    `counts` (P,) says how many slots of each probe are in use; `keys` are what is in them.
    """

    def __init__(self, probes: int, most: int, error: float, width: int, rescore: Rescore) -> None:
        """Make room for what blocks of `width` gallery rows bring; `error` is the bound of rounding."""
        self.most, self._error, self._rescore = most, error, rescore
        self.keys = np.full((probes, max(2 * most, most + _SLACK + width)), _EMPTY)
        self.counts = np.zeros(probes, np.int64)
        self.floors = np.full(probes, -np.inf, np.float32)

    def add(self, found: CandidatePairs) -> None:
        """Take candidates, of each probe no more than a block has rows, and none that was taken before."""
        probes, rows, values = found.where(found.values > self.floors[found.probes])
        slots = self.keys.shape[1]
        new = np.bincount(probes, minlength=len(self.counts))
        if (self.counts + new).max(initial=0) > slots:
            self._compact(np.flatnonzero(self.counts + new > slots))
        # the place of the first new one in each probe's slots, less its place in `found`
        first = self.counts - (np.cumsum(new) - new)
        self.keys.ravel()[probes * slots + first[probes] + np.arange(len(probes))] = _join(values, rows)
        self.counts += new

    def add_keys(self, keys: Keys) -> None:
        """Take candidates (P, n) of another pass, out of its slots."""
        probes, columns = np.nonzero(keys != _EMPTY)
        some = keys[probes, columns]
        self.add(CandidatePairs(probes, _rows(some), _values(some)))

    def clear(self) -> None:
        """Forget the candidates, but not the floors."""
        self.keys[:] = _EMPTY
        self.counts[:] = 0

    def sort(self) -> None:
        """Sort the candidates of all probes, the largest product first, and drop what can't matter."""
        self._compact(np.arange(len(self.counts)))

    def count_at_least(self, probes: Whole, marks: NDArray[np.float64]) -> Whole:
        """Count (n,) the gallery rows that score at least a mark (n,) with its probe (n,), up to `most`.

        The candidates must be sorted. A count of `most` means as many or more.
        """
        counts = self._count_above(probes, higher(marks + self._error))
        undecided = self._count_above(probes, lower(marks - self._error)) - counts
        undecided[counts >= self.most] = 0
        parts = np.cumsum(undecided) // _PAIRS
        for some in np.split(np.arange(len(marks)), np.flatnonzero(np.diff(parts)) + 1):
            counts[some] += self._count_close(probes[some], marks[some], counts[some], undecided[some])
        return np.minimum(counts, self.most)

    def _count_above(self, probes: Whole, values: Floats) -> Whole:
        """Count (n,) the candidates of a probe (n,) whose products are above a value (n,), by bisection."""
        limits = _join(values, 0)
        low, high = np.zeros(len(probes), np.int64), self.counts[probes]
        while (unsure := low < high).any():
            middle = np.where(unsure, (low + high) // 2, 0)
            before = self.keys[probes, middle] < limits
            low = np.where(unsure & before, middle + 1, low)
            high = np.where(unsure & ~before, middle, high)
        return low

    def _count_close(self, probes: Whole, marks: NDArray[np.float64], first: Whole, number: Whole) -> Whole:
        """Count by canonical scores, of `number` candidates from place `first` on of each mark's probe."""
        owners = np.repeat(np.arange(len(marks)), number)
        slots = np.arange(len(owners)) - np.repeat(np.cumsum(number) - number - first, number)
        rows = _rows(self.keys[probes[owners], slots])
        reached = self._rescore(probes[owners], rows) >= marks[owners]
        return np.bincount(owners[reached], minlength=len(marks))

    def _compact(self, probes: Whole) -> None:
        for start in range(0, len(probes), _GROUP):
            some = probes[start : start + _GROUP]
            keys = np.sort(self.keys[some], axis=1)
            last = keys[:, self.most - 1]
            known = last != _EMPTY
            floors = lower(_values(last).astype(np.float64) - 2 * self._error)
            kept = np.where(known, (keys < _join(floors, 0)[:, None]).sum(axis=1), self.counts[some])
            for place in np.flatnonzero(kept > self.most + _SLACK):
                keys[place] = self._settle(int(some[place]), keys[place, : kept[place]])
                kept[place] = self.most
            keys[np.arange(keys.shape[1]) >= kept[:, None]] = _EMPTY
            self.keys[some], self.counts[some] = keys, kept
            self.floors[some] = np.where(known, floors, self.floors[some])

    def _settle(self, probe: int, keys: Keys) -> Keys:
        """Cut sorted candidates, which many near-equal products make too many, to the `most` best scores."""
        values = _values(keys).astype(np.float64)
        sure = int((values > values[self.most - 1] + 2 * self._error).sum())
        rows = _rows(keys[sure:])
        order = np.argsort(-self._rescore(np.full(len(rows), probe), rows), kind="stable")
        chosen = np.concatenate([keys[:sure], keys[sure:][np.sort(order[: self.most - sure])]])
        return np.pad(chosen, (0, self.keys.shape[1] - self.most), constant_values=_EMPTY)


def _join(values: Floats, rows: Whole | int) -> Keys:
    """Keys whose order is that of falling values, then of rows.

    The bits of a float, read as a whole number, rise with positive values and fall with negative ones.
    """
    bits = values.view(np.uint32)
    falling = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    return (falling.astype(np.uint64) << _SHIFT) | np.asarray(rows).astype(np.uint64)


def _values(keys: Keys) -> Floats:
    falling = (keys >> _SHIFT).astype(np.uint32)
    return np.where(falling >> 31, falling, ~falling & np.uint32(0x7FFFFFFF)).view(np.float32)


def _rows(keys: Keys) -> Whole:
    return (keys & _LOW).astype(np.int64)
