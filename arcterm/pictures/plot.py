"""A diagram of lines as plain arrays, and as many of their points as an image has room for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from arcterm_registry.contracts import Curve
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trace:
    """A line through points: `x` (N,) ascending and `y` (N,), with a gap where `y` is no finite number.

    `dots` marks each point, as few measurements deserve. A `faint` one lies behind the others and has no
    name in the key: the raw values below their smoothed line. `colour` is a place in the palette; by default
    that of the trace among those that are not faint.
    """

    name: str
    x: Floats
    y: Floats
    dots: bool = False
    faint: bool = False
    colour: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Plot:
    """`traces` in a frame whose axes are called `x` and `y`, `size` pixels wide and high without the key.

    On a logarithmic axis what is not above 0 has no place. `span` is the part of x that is shown, None for
    all; `guides` are values of y that get a dashed line. No y is above `most`.
    """

    title: str
    x: str
    y: str
    traces: Sequence[Trace]
    log_x: bool = False
    log_y: bool = False
    span: tuple[float, float] | None = None
    guides: Sequence[float] = ()
    most: float = math.inf
    size: tuple[int, int] = (680, 400)

    def colour(self, trace: Trace) -> int:
        """Return the place of a trace's colour in the palette."""
        if trace.colour is not None:
            return trace.colour
        return [other for other in self.traces if not other.faint or other is trace].index(trace)


def plot_of(curve: Curve) -> Plot:
    """Return the plot of a job's `curve`."""
    traces = []
    for name, points in curve.lines.items():
        x, y = np.array(points, np.float64).reshape(-1, 2).T
        traces.append(Trace(name=name, x=x, y=y))
    return Plot(title=curve.title, x=curve.x, y=curve.y, traces=traces, log_x=curve.log_x)


def placed(plot: Plot, trace: Trace) -> tuple[Floats, Floats]:
    """Return x and y of the points in the plot's span, as lengths along the axes: logarithms where those are.

    What has no place along x is left out, along y it is NaN.
    """
    low, high = plot.span or (-np.inf, np.inf)
    held = np.isfinite(trace.x) & (trace.x >= low) & (trace.x <= high)
    held &= (trace.x > 0) | (not plot.log_x)
    x, y = trace.x[held], trace.y[held].astype(np.float64)
    y = np.where(np.isfinite(y) & ((y > 0) | (not plot.log_y)), y, np.nan)
    return (np.log10(x) if plot.log_x else x), (np.log10(y) if plot.log_y else y)


def pieces(x: Floats, y: Floats, low: float, high: float, columns: int) -> Iterator[tuple[Floats, Floats]]:
    """Yield the unbroken pieces of a line, thinned to what `columns` of pixels between `low` and `high` show.

    Of a column that has more than four points the first, the lowest, the highest and the last are kept, so
    that no spike is lost; a gap within it can't be seen.
    """
    finite = np.flatnonzero(np.isfinite(y))
    if not len(finite):
        return
    gaps = np.cumsum(~np.isfinite(y))[finite]
    x, y = x[finite], y[finite]
    if len(x) > 4 * columns:
        column = np.clip((x - low) / (high - low) * columns, 0, columns - 1).astype(np.int64)
        first = np.flatnonzero(np.diff(column, prepend=-1))
        last = np.append(first[1:], len(column)) - 1
        by_height = np.lexsort((y, column))  # columns in their order, in each from the lowest to the highest
        kept = np.unique(np.concatenate([first, by_height[first], by_height[last], last]))
        x, y, gaps, column = x[kept], y[kept], gaps[kept], column[kept]
        broken = (np.diff(gaps) > 0) & (np.diff(column) > 0)
    else:
        broken = np.diff(gaps) > 0
    ends = np.flatnonzero(broken) + 1
    yield from zip(np.split(x, ends), np.split(y, ends), strict=True)


def wide(low: float, high: float, most: float = math.inf) -> tuple[float, float]:
    """A range that is not a point, and goes beyond `high` at `most` to `most`."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    room = abs(low) * 0.1 or 1.0
    return low - room, max(high, min(high + room, most))
