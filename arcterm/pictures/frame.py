"""The frame of a diagram in SVG: axes and grid, and where in it points come to stand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from arcterm.pictures.page import text
from arcterm.pictures.plot import Floats, Plot, Trace, pieces, placed, wide
from arcterm.pictures.ticks import label, log_ticks, power, ticks

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Told apart by the colour-blind too (Okabe and Ito, Color Universal Design, 2008), with grey for yellow."""
DASHES = ("", "7 3", "2 3")  # one more for each round through the colours
SIGNS = (
    "m-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0",  # circle
    "m-4-4h8v8h-8z",
    "m0-5l5 9h-10z",
    "m0-5.5l5 5.5l-5 5.5l-5-5.5z",
    "m0 5l5-9h-10z",
    "m-4-1.3h2.7v-2.7h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7z",  # plus
)
"""Around its point, as SVG's path: of each line its own, so that they differ without colour too."""
SIGNS_PER_LINE = 9

LEFT, RIGHT, TOP, BOTTOM = 64, 16, 34, 46
_PAD = 0.03  # of the range of y, so that a line along an edge is seen


class Frame:
    """The place on the image of the points of `shown` traces."""

    def __init__(self, plot: Plot, shown: Sequence[Trace]) -> None:
        self._plot, self._shown = plot, shown
        self._points = [placed(plot, trace) for trace in shown]
        self._right, self._bottom = plot.size[0] - RIGHT, plot.size[1] - BOTTOM
        self._columns = self._right - LEFT
        xs = np.concatenate([x[np.isfinite(y)] for x, y in self._points])
        ys = np.concatenate([y[np.isfinite(y)] for _, y in self._points])
        guides = [np.log10(g) if plot.log_y else g for g in plot.guides if g > 0 or not plot.log_y]
        self._guides = [float(guide) for guide in guides]
        self._x = wide(float(xs.min()), float(xs.max()))
        most = float(np.log10(plot.most)) if plot.log_y else plot.most
        low, high = wide(min([float(ys.min()), *self._guides]), max([float(ys.max()), *self._guides]), most)
        self._y = low - _PAD * (high - low), high + _PAD * (high - low)
        self._whole = bool(np.all(xs == np.rint(xs))) and not plot.log_x  # no step 1.5

    def _across(self, x: Floats) -> Floats:
        low, high = self._x
        return LEFT + (x - low) / (high - low) * self._columns

    def _down(self, y: Floats) -> Floats:
        low, high = self._y
        return TOP + (high - y) / (high - low) * (self._bottom - TOP)

    def line(self, trace: Trace) -> str:
        """Draw a line, of one point a dot."""
        x, y = self._points[self._shown.index(trace)]
        stroke = pen(self._plot.colour(trace), trace.faint)
        drawn = []
        for part_x, part_y in pieces(x, y, *self._x, self._columns):
            across, down = self._across(part_x).tolist(), self._down(part_y).tolist()
            ends = [f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True)]
            drawn.append(f'<polyline points="{" ".join(ends * 2 if len(ends) == 1 else ends)}" {stroke}/>')
        return "".join(drawn)

    def signs(self, trace: Trace) -> str:
        """Draw the trace's sign on each of its points, or on a few along a line."""
        x, y = self._points[self._shown.index(trace)]
        finite, number = np.flatnonzero(np.isfinite(y)), self._plot.colour(trace)
        if not trace.dots:  # places that differ from line to line, so that they do not hide one another
            share = (np.arange(SIGNS_PER_LINE) + (number % 5 + 0.5) / 5) / SIGNS_PER_LINE
            finite = np.unique(finite[(share * len(finite)).astype(np.int64)])
        places = zip(self._across(x[finite]).tolist(), self._down(y[finite]).tolist(), strict=True)
        path = "".join(f"M{a:.1f} {b:.1f}{SIGNS[number % len(SIGNS)]}" for a, b in places)
        return f'<path d="{path}" fill="{COLOURS[number % len(COLOURS)]}"/>'

    def grid(self) -> str:
        """Draw the frame, with lines and names at round numbers."""
        plot = self._plot
        across = log_ticks(*self._x, 9) if plot.log_x else ticks(*self._x, 9)
        if self._whole:
            across = [x for x in across if x == round(x)]
        down = log_ticks(*self._y, 7) if plot.log_y else ticks(*self._y, 7)
        parts = ['<g stroke="currentColor" stroke-opacity=".2">']
        at_x, at_y = self._across(np.array(across)).tolist(), self._down(np.array(down)).tolist()
        parts += [f'<path d="M{x:.1f} {TOP}V{self._bottom}"/>' for x in at_x]
        parts += [f'<path d="M{LEFT} {y:.1f}H{self._right}"/>' for y in at_y]
        for y in self._down(np.array(self._guides)).tolist():
            parts.append(
                f'<path d="M{LEFT} {y:.1f}H{self._right}" stroke-opacity=".8" stroke-dasharray="6 4"/>'
            )
        parts.append(
            f'<path d="M{LEFT} {TOP}V{self._bottom}H{self._right}" fill="none" stroke-opacity=".7"/></g>'
        )
        names = [power(x) for x in across] if plot.log_x else _named(across)
        parts += [label_at(x, self._bottom + 16, n, "middle") for x, n in zip(at_x, names, strict=True)]
        names = [power(y) for y in down] if plot.log_y else _named(down)
        parts += [label_at(LEFT - 6, y + 4, n, "end") for y, n in zip(at_y, names, strict=True)]
        return "".join(parts)


def _named(marks: Sequence[float]) -> list[str]:
    step = abs(marks[1] - marks[0]) if len(marks) > 1 else 0.0
    return [label(mark, step) for mark in marks]


def pen(place: int, faint: bool = False) -> str:
    """Return the attributes of a line in the colour at `place`."""
    dash = DASHES[place // len(COLOURS) % len(DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash and not faint else ""
    width = 'stroke-width="1" stroke-opacity=".35"' if faint else 'stroke-width="2"'
    ends = 'stroke-linecap="round" stroke-linejoin="round"'
    return f'fill="none" stroke="{COLOURS[place % len(COLOURS)]}" {width} {ends}{dashed}'


def label_at(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    """Return a text at (`x`, `y`)."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{more}>{text(words)}</text>'
    )
