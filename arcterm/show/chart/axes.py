"""The frame of a chart: ranges, the labelled gutter on the left, the labelled line below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from arcterm.pictures.ticks import label, log_ticks, power, ticks
from arcterm.show.chart.series import Floats, Series

_SMALLEST = (16, 4)
_LINES = {"braille": ("│", "┤", "└", "─", "┬"), "ascii": ("|", "+", "+", "-", "+")}


@dataclass(frozen=True, kw_only=True)
class Axes:
    """`width` × `height` cells of plot for x in `span` and y in `low` … `high`, and the text around them."""

    width: int
    height: int
    span: tuple[float, float]
    low: float
    high: float
    gutter: list[str]
    footer: list[str]

    def row(self, y: Floats, count: int) -> NDArray[np.intp]:
        """The row of `count`, 0 the highest, of each value; NaN gets some row."""
        share = (self.high - np.nan_to_num(y)) / (self.high - self.low)
        rows: NDArray[np.intp] = np.clip(np.rint(share * (count - 1)), 0, count - 1).astype(np.intp)
        return rows


def axes(
    curves: Sequence[Series],
    size: tuple[int, int],
    span: tuple[float, float] | None,
    log: bool,
    mode: str,
    log_x: bool = False,
) -> Axes | None:
    """The frame for `curves` in `size` cells; None if there is no finite point or no room.

    With `log` values are log₁₀ of y, with `log_x` log₁₀ of x, and the labels are of what they are logs of.
    """
    width, height = size
    found = _ranges(curves, span)
    if found is None or width < _SMALLEST[0] or height < _SMALLEST[1]:
        return None
    x0, x1, low, high = found
    rows = height - 2
    wanted = max(2, rows // 3)
    marks = log_ticks(low, high, wanted) if log else _at_least_two(low, high, wanted)
    names = _names(marks, log)
    margin = max(map(len, names)) + 1
    bar, tick, *_ = _LINES[mode]
    gutter = [" " * margin + bar] * rows
    for value, name in zip(marks, names, strict=True):
        y = round((high - value) / (high - low) * (rows - 1))
        gutter[y] = name.rjust(margin) + tick
    plot = width - margin - 1
    footer = _footer(x0, x1, margin, plot, mode, log_x)
    return Axes(width=plot, height=rows, span=(x0, x1), low=low, high=high, gutter=gutter, footer=footer)


def _ranges(
    curves: Sequence[Series], span: tuple[float, float] | None
) -> tuple[float, float, float, float] | None:
    seen = []
    for s in curves:
        ok = np.isfinite(s.y)
        if span is not None:
            ok &= (s.x >= span[0]) & (s.x <= span[1])
        if ok.any():
            x, y = s.x[ok], s.y[ok]
            seen.append((x[0], x[-1], y.min(), y.max()))
    if not seen:
        return None
    x0, x1 = span or (min(s[0] for s in seen), max(s[1] for s in seen))
    low, high = float(min(s[2] for s in seen)), float(max(s[3] for s in seen))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    return float(x0), float(x1) if x1 > x0 else float(x0) + 1, low, high


def _at_least_two(low: float, high: float, wanted: int) -> list[float]:
    """Ticks, finer ones where the range would have a single label."""
    return next(
        (found for more in range(4) if len(found := ticks(low, high, wanted + more)) > 1), [low, high]
    )


def _names(marks: list[float], log: bool) -> list[str]:
    if log:
        return [f"{10**m:.3g}" for m in marks]
    step = abs(marks[1] - marks[0]) if len(marks) > 1 else 0.0
    return [label(m, step) for m in marks]


def _footer(x0: float, x1: float, margin: int, plot: int, mode: str, log_x: bool) -> list[str]:
    _, _, corner, line, tick = _LINES[mode]
    marks = (log_ticks if log_x else ticks)(x0, x1, max(2, plot // 12))
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    ruler, names = [line] * plot, [" "] * (margin + 1 + plot)
    free = 0
    for value in marks:
        x = min(int((value - x0) / (x1 - x0) * plot), plot - 1)
        name = power(value) if log_x else label(value, step)
        start = min(margin + 1 + x - len(name) // 2, len(names) - len(name))
        if start >= free:
            ruler[x] = tick
            names[start : start + len(name)] = name
            free = start + len(name) + 1
    return [" " * margin + corner + "".join(ruler), "".join(names)]
