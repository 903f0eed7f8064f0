"""Series to rows of text, with axes, guides and a crosshair."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from arcterm.show.chart.axes import Axes, Scale, Span, axes
from arcterm.show.chart.cells import BLANK, Codes, Mode, Styles, cells, dot_columns
from arcterm.show.chart.series import Floats, HorizontalLine, Series

Row = list[tuple[str, int]]
"""One line of the chart: texts with the style index of each; 0 is the axes' and empty space's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """A chart that is drawn but for its crosshair: the plot's characters and styles, and its frame."""

    axes: Axes
    codes: Codes
    styles: Styles
    mode: Mode

    def rows(self, cursor: float | None = None) -> list[Row]:
        """The lines of the chart, with a vertical line at the x of the `cursor` where nothing else is."""
        codes, styles = self.codes, self.styles
        footer = list(self.axes.footer)
        column = None if cursor is None else self.axes.cell(cursor)
        if column is not None:
            codes = codes.copy()
            free = codes[:, column] == BLANK
            codes[free, column] = ord("|" if self.mode == "ascii" else "│")
            place = self.axes.left + column
            footer[0] = footer[0][:place] + ("^" if self.mode == "ascii" else "┴") + footer[0][place + 1 :]
        runs = _runs(codes, styles)
        rows = [[(gutter, 0), *row] for gutter, row in zip(self.axes.gutter, runs, strict=True)]
        return rows + [[(text, 0)] for text in footer]


def draw(
    series: Sequence[Series],
    size: tuple[int, int],
    mode: Mode = "braille",
    *,
    span: Span | None = None,
    log: bool = False,
    scale: Scale = "number",
    marks: bool = False,
    guides: Sequence[HorizontalLine] = (),
    most: float | None = None,
) -> Drawn | None:
    """Draw a chart of `size` (width, height) cells with its axes; None if there is nothing to draw.

    `span` is the visible range of x (default: all), `log` puts log₁₀ on the y axis, the `scale` ``log`` on
    the x axis, where a point at 0 has no place, `marks` puts each series' mark on its
    samples however many there are. `guides` are behind everything. The y axis does not go beyond `most`,
    unless a value does.
    """
    curves = _scaled([s.thinned(span, size[0]) for s in series], log, scale)
    layout = axes(curves, size, span, log, mode, scale, most)
    if layout is None:
        return None
    if any(s.pyramid for s in series):
        curves = _scaled([s.thinned(layout.span, dot_columns(layout, mode)) for s in series], log, scale)
    lines = [_log_guide(guide) for guide in guides if guide.y > 0] if log else guides
    codes, styles = cells(curves, layout, mode, marks, lines)
    return Drawn(axes=layout, codes=codes, styles=styles, mode=mode)


def render(
    series: Sequence[Series],
    size: tuple[int, int],
    mode: Mode = "braille",
    *,
    span: Span | None = None,
    log: bool = False,
    scale: Scale = "number",
    marks: bool = False,
    guides: Sequence[HorizontalLine] = (),
    most: float | None = None,
    cursor: float | None = None,
    empty: str = "",
) -> list[Row]:
    """`draw`, as rows; with the text `empty` if there is nothing to draw."""
    drawn = draw(series, size, mode, span=span, log=log, scale=scale, marks=marks, guides=guides, most=most)
    return message(empty, size) if drawn is None else drawn.rows(cursor)


def message(text: str, size: tuple[int, int]) -> list[Row]:
    """Rows that are empty but for a text in the middle."""
    width, height = size
    return [[(text[:width].center(width) if y == height // 2 else " " * width, 0)] for y in range(height)]


def _runs(codes: Codes, styles: Styles) -> list[Row]:
    """The rows of the plot as texts of one style each."""
    height, width = codes.shape
    text = codes.astype("<u4").tobytes().decode("utf-32-le")
    cuts: list[list[int]] = [[0] for _ in range(height)]
    for y, x in zip(
        *(places.tolist() for places in np.nonzero(styles[:, 1:] != styles[:, :-1])), strict=True
    ):
        cuts[y].append(x + 1)
    named = styles.tolist()
    return [
        [
            (text[y * width + begin : y * width + end], named[y][begin])
            for begin, end in itertools.pairwise([*cuts[y], width])
        ]
        for y in range(height)
    ]


def _scaled(series: Sequence[Series], log: bool, scale: Scale) -> list[Series]:
    curves = [_log(s) for s in series] if log else list(series)
    return [_log_x(s) for s in curves] if scale == "log" else curves


def _log(s: Series) -> Series:
    y: Floats = np.full(s.y.shape, np.nan)
    np.log10(s.y, out=y, where=s.y > 0)
    return replace(s, y=y, pyramid=None)


def _log_x(s: Series) -> Series:
    there = s.x > 0
    best = float(np.log10(s.best)) if s.best else None
    return replace(s, x=np.log10(s.x[there]), y=s.y[there], best=best, pyramid=None)


def _log_guide(guide: HorizontalLine) -> HorizontalLine:
    return HorizontalLine(y=float(np.log10(guide.y)), style=guide.style)
