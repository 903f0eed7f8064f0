"""The frame of a chart: ranges, the labelled gutter on the left, the labelled line below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from arcterm.pictures.ticks import label, log_ticks, power, ticks, time_label, time_ticks, whole_ticks
from arcterm.show.chart.series import Floats, Series

Scale = Literal["number", "step", "time", "log"]
"""The kind of x: any number, whole steps, seconds, or log₁₀ of a number."""
Span = tuple[float, float]

_SMALLEST = (16, 4)
_LINES = {"plain": ("│", "┤", "└", "─", "┬"), "ascii": ("|", "+", "+", "-", "+")}
_THOUSANDS = 100  # from such a distance on ticks are labelled 1.8k
_FINE = 30  # the lowest and the highest value are labelled to this part of the range


@dataclass(frozen=True, kw_only=True)
class Axes:
    """`width` × `height` cells of plot for x in `span` and y in `low` … `high`, and the text around them."""

    width: int
    height: int
    span: Span
    low: float
    high: float
    gutter: list[str]
    footer: list[str]

    @property
    def left(self) -> int:
        """Cells left of the plot."""
        return len(self.gutter[0])

    def row(self, y: Floats, count: int) -> NDArray[np.intp]:
        """The row of `count`, 0 the highest, of each value; NaN gets some row."""
        share = (self.high - np.nan_to_num(y)) / (self.high - self.low)
        rows: NDArray[np.intp] = np.clip(np.rint(share * (count - 1)), 0, count - 1).astype(np.intp)
        return rows

    def cell(self, x: float) -> int | None:
        """Return the column of the plot that `x` is in; None outside of it."""
        x0, x1 = self.span
        return min(int((x - x0) / (x1 - x0) * self.width), self.width - 1) if x0 <= x <= x1 else None

    def x_at(self, cell: float) -> float:
        """Return the x of the middle of a column of the plot, at most its ends."""
        x0, x1 = self.span
        return min(max(x0 + (cell + 0.5) / self.width * (x1 - x0), x0), x1)


def axes(
    curves: Sequence[Series],
    size: tuple[int, int],
    span: Span | None,
    log: bool,
    mode: str,
    scale: Scale = "number",
    most: float | None = None,
) -> Axes | None:
    """The frame for `curves` in `size` cells; None if there is no finite point or no room.

    With `log` values are log₁₀ of y, and the labels are of what they are logs of. Where all values are the
    same, the range goes beyond them, but not beyond `most`, in units of y.
    """
    width, height = size
    found = _ranges(curves, span, np.inf if most is None else np.log10(most) if log else most)
    if found is None or width < _SMALLEST[0] or height < _SMALLEST[1]:
        return None
    x0, x1, low, high = found
    rows = height - 2
    names = _value_labels(low, high, rows, log)
    margin = max(map(len, names.values())) + 1
    bar, tick, *_ = _LINES["ascii" if mode == "ascii" else "plain"]
    gutter = [names[y].rjust(margin) + tick if y in names else " " * margin + bar for y in range(rows)]
    plot = width - margin - 1
    if plot < 1:
        return None
    footer = _footer((x0, x1), margin, plot, mode, scale)
    return Axes(width=plot, height=rows, span=(x0, x1), low=low, high=high, gutter=gutter, footer=footer)


def _ranges(
    curves: Sequence[Series], span: Span | None, most: float
) -> tuple[float, float, float, float] | None:
    seen = []
    for s in curves:
        x, y = s.x, s.y
        if span is not None:
            begin, end = np.searchsorted(x, span[0], "left"), np.searchsorted(x, span[1], "right")
            x, y = x[begin:end], y[begin:end]
        ok = np.isfinite(y)
        if not ok.all():
            x, y = x[ok], y[ok]
        if len(y):
            seen.append((x[0], x[-1], y.min(), y.max()))
    if not seen:
        return None
    x0, x1 = span or (min(s[0] for s in seen), max(s[1] for s in seen))
    low, high = float(min(s[2] for s in seen)), float(max(s[3] for s in seen))
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, max(high, min(high + pad, most))
    return float(x0), float(x1) if x1 > x0 else float(x0) + 1, low, high


def _value_labels(low: float, high: float, rows: int, log: bool) -> dict[int, str]:
    """Labels by row: the highest and the lowest value, and round ones a row or more away."""
    wanted = max(2, rows // 3)
    marks = log_ticks(low, high, wanted) if log else ticks(low, high, wanted)
    step = abs(marks[1] - marks[0]) if len(marks) > 1 else (high - low) / 2
    fine = max((high - low) / _FINE, step if step >= _THOUSANDS else 0)  # all as k, or none
    labels = {
        0: f"{10**high:.3g}" if log else _short(label(high, fine)),
        rows - 1: f"{10**low:.3g}" if log else _short(label(low, fine)),
    }
    for value in marks:
        y = round((high - value) / (high - low) * (rows - 1))
        if not {y - 1, y, y + 1} & labels.keys():
            labels[y] = f"{10**value:.3g}" if log else label(value, step)
    return labels


def _footer(span: Span, margin: int, plot: int, mode: str, scale: Scale) -> list[str]:
    """The line below the plot and its labels: the first and the last x, and round ones between them."""
    x0, x1 = span
    _, _, corner, line, tick = _LINES["ascii" if mode == "ascii" else "plain"]
    ruler, names = [line] * plot, [" "] * (margin + 1 + plot)
    first, last = _name(x0, x1 - x0, scale), _name(x1, x1 - x0, scale)
    free, end = margin + 1 + len(first), len(names)
    names[margin + 1 : free] = first
    if free + 1 + len(last) <= end:
        end -= len(last)
        names[end:] = last
    for value, name in _marks(span, max(2, plot // 12), scale):
        x = min(int((value - x0) / (x1 - x0) * plot), plot - 1)
        start = margin + 1 + x - len(name) // 2
        if free < start and start + len(name) < end:
            ruler[x] = tick
            names[start : start + len(name)] = name
            free = start + len(name)
    return [" " * margin + corner + "".join(ruler), "".join(names[: margin + 1 + plot])]


def _marks(span: Span, most: int, scale: Scale) -> list[tuple[float, str]]:
    """Round places on the x axis, and their names."""
    if scale == "log":
        return [(value, power(value)) for value in log_ticks(*span, most)]
    if scale == "time":
        return [(value, time_label(value)) for value in time_ticks(*span, most)]
    found = (whole_ticks if scale == "step" else ticks)(*span, most)
    step = found[1] - found[0] if len(found) > 1 else 1.0
    return [(value, label(value, step)) for value in found]


def _name(x: float, width: float, scale: Scale) -> str:
    """The label of an end of the x axis, of which `width` is shown."""
    if scale == "log":
        return power(x)
    if scale == "time":
        return time_label(x)
    return _short(label(x, 1.0 if scale == "step" else width / _FINE))


def _short(name: str) -> str:
    """A number without zeros at its end."""
    return name.rstrip("0").rstrip(".") if "." in name else name
