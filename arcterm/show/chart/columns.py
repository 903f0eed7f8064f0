"""From any number of points to one range per pixel column. No point is skipped: spikes survive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arcterm.show.chart.series import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """Per column (C,): smallest, largest, first and last finite value; NaN where there is none.

    `broken`: a gap lies between a column's first value and the last one before the column.
    """

    low: Floats
    high: Floats
    first: Floats
    last: Floats
    broken: NDArray[np.bool_]


def columns(x: Floats, y: Floats, x0: float, x1: float, count: int) -> Columns:
    """Gather the points with x0 ≤ x ≤ x1 into `count` columns of equal width; `x` (N,) rises."""
    empty = np.full(count, np.nan)
    low, high, first, last = empty.copy(), empty.copy(), empty.copy(), empty.copy()
    broken = np.zeros(count, bool)
    finite = np.isfinite(y)
    gaps = None
    if not finite.all():
        gaps = np.cumsum(~finite)[finite]
        x, y = x[finite], y[finite]
    starts = np.searchsorted(x, np.linspace(x0, x1, count + 1)[:-1], "left")
    ends = np.append(starts[1:], np.searchsorted(x, x1, "right"))
    filled = np.flatnonzero(ends > starts)
    if len(filled):
        begin, end = starts[filled], ends[filled]
        low[filled] = np.minimum.reduceat(y[: end[-1]], begin)
        high[filled] = np.maximum.reduceat(y[: end[-1]], begin)
        first[filled], last[filled] = y[begin], y[end - 1]
        if gaps is not None:
            broken[filled[1:]] = gaps[begin[1:]] != gaps[end[:-1] - 1]
    return Columns(low=low, high=high, first=first, last=last, broken=broken)


def join(c: Columns) -> tuple[Floats, Floats]:
    """The columns' ranges (low, high), stretched so that neighbours meet and empty columns are bridged.

    A straight line runs from the last value of a column to the first of the next filled one, unless there
    is a gap between them; each column also covers the part of the line that crosses it.
    """
    count = len(c.low)
    index = np.arange(count)
    filled = ~np.isnan(c.low)
    before = np.maximum.accumulate(np.where(filled, index, -1))[:-1]
    after = np.minimum.accumulate(np.where(filled, index, count)[::-1])[::-1][1:]
    crossing = np.full(count + 1, np.nan)  # the line's value on the border left of each column
    ok = (before >= 0) & (after < count)
    ok[ok] &= ~c.broken[after[ok]]
    a, b = before[ok], after[ok]
    share = (index[:-1][ok] + 0.5 - a) / (b - a)
    crossing[1:-1][ok] = c.last[a] + (c.first[b] - c.last[a]) * share
    left, right = crossing[:-1], crossing[1:]
    return np.fmin(np.fmin(c.low, left), right), np.fmax(np.fmax(c.high, left), right)
