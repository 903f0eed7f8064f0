"""Few points in place of many millions, which draw the same line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arcterm.show.chart.series import Floats

MANY = 2_000_000
"""Beyond so many points a series is worth a pyramid."""
_LEVELS = (64, 1024, 16_384)
_SPARE = 8  # so many blocks of points stand in a column, at least


class Pyramid:
    """Of each block of a series its first, lowest, highest and last point, in levels of longer blocks.

    `extend` looks at each point once while the series only grows.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._values: Floats = np.empty(0)
        self._kept = {block: np.empty((0, 4), np.int64) for block in _LEVELS}
        self._whole = {block: np.empty(0, bool) for block in _LEVELS}

    def extend(self, values: Floats) -> None:
        """Take in a series (N,) that goes on from the one before; it must not be written to afterwards."""
        before = self._values
        if len(values) < len(before) or values.ctypes.data != before.ctypes.data:
            known = min(len(values), len(before))
            if known < len(before) or not np.array_equal(values[:known], before, equal_nan=True):
                self._forget()  # it was cut, or made again
        self._values = values
        for block in _LEVELS:
            done = len(self._kept[block])
            rows = values[done * block : len(values) // block * block].reshape(-1, block)
            if not len(rows):
                continue
            whole = np.isfinite(rows).all(1)
            places = np.column_stack(
                [np.zeros(len(rows), np.int64), rows.argmin(1), rows.argmax(1), np.full(len(rows), block - 1)]
            )
            places.sort(1)
            places += (done + np.arange(len(rows)))[:, None] * block
            self._kept[block] = np.concatenate([self._kept[block], places])
            self._whole[block] = np.concatenate([self._whole[block], whole])

    def points(self, begin: int, end: int, borders: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the places of points that draw those from `begin` to `end` in columns with these `borders`.

        Blocks that a border cuts, or that have a gap, are there with all of their points.
        """
        columns = max(1, len(borders) - 1)
        fitting = [block for block in _LEVELS if block * _SPARE * columns <= end - begin]
        if not fitting:
            return np.arange(begin, end)
        block = fitting[-1]
        first, last = -(-begin // block), min(end // block, len(self._kept[block]))
        if last <= first:
            return np.arange(begin, end)
        inside = self._whole[block][first:last].copy()
        cut = borders // block - first
        inside[cut[(cut >= 0) & (cut < len(inside))]] = False
        raw = np.flatnonzero(~inside) + first
        within = np.concatenate(
            [
                self._kept[block][first:last][inside].ravel(),
                (raw[:, None] * block + np.arange(block)).ravel(),
            ]
        )
        within.sort(kind="stable")  # two sorted parts, which that kind merges
        return np.concatenate([np.arange(begin, first * block), within, np.arange(last * block, end)])
