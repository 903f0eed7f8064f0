"""Series to rows of text: two by four dots a cell in braille, or plain ASCII."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from arcterm.show.chart.axes import Axes, axes
from arcterm.show.chart.columns import columns, join
from arcterm.show.chart.series import Floats, Series

Mode = Literal["braille", "ascii"]
Row = list[tuple[str, int]]
"""One line of the chart: texts with the style index of each; 0 is the axes' and empty space's."""

_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
_CELL: dict[Mode, tuple[int, int]] = {"braille": (2, 4), "ascii": (1, 1)}
_BLANK = ord(" ")
_SPARSE = 5


def render(
    series: Sequence[Series],
    size: tuple[int, int],
    mode: Mode = "braille",
    *,
    span: tuple[float, float] | None = None,
    log: bool = False,
    log_x: bool = False,
    marks: bool = False,
    empty: str = "",
) -> list[Row]:
    """A chart of `size` (width, height) cells with its axes.

    `span` is the visible range of x (default: all), `log` puts log₁₀ on the y axis, `log_x` log₁₀ on the x
    axis, where a point at 0 has no place, `marks` puts each series' mark on its samples however many there
    are. Where series meet, the later one is seen. `empty` is shown if there is nothing to draw.
    """
    width, height = size
    curves = [_log(s) for s in series] if log else list(series)
    curves = [_log_x(s) for s in curves] if log_x else curves
    layout = axes(curves, size, span, log, mode, log_x)
    if layout is None:
        return _message(empty, width, height)
    codes, styles = _cells(curves, layout, mode, marks)
    rows = []
    for y in range(layout.height):
        rows.append([(layout.gutter[y], 0), *_runs(codes[y], styles[y])])
    rows += [[(text, 0)] for text in layout.footer]
    return rows


def _cells(
    curves: Sequence[Series], layout: Axes, mode: Mode, marks: bool
) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Character codes and style indices (height, width) of the plot's cells."""
    codes = np.full((layout.height, layout.width), _BLANK, np.uint32)
    styles = np.zeros((layout.height, layout.width), np.intp)
    for s in curves:
        dots = bitmap(s, layout, mode)
        if mode == "braille":
            bits = (dots.reshape(layout.height, 4, layout.width, 2) * _DOTS[None, :, None, :]).sum((1, 3))
            hit = bits > 0
            codes[hit] = 0x2800 + bits[hit]
        else:
            hit = dots
            codes[hit] = ord(s.mark)
        styles[hit] = s.style
    for s in curves:
        if s.samples and (marks or len(s.x) * _SPARSE <= layout.width):
            _stamp(s, layout, codes, styles)
    return codes, styles


def bitmap(s: Series, layout: Axes, mode: Mode) -> NDArray[np.bool_]:
    """Which dots (rows, columns) the series covers."""
    per_x, per_y = _CELL[mode]
    low, high = join(columns(s.x, s.y, *layout.span, layout.width * per_x))
    dots = layout.height * per_y
    top, bottom = layout.row(high, dots), layout.row(low, dots)
    y = np.arange(dots)[:, None]
    covered: NDArray[np.bool_] = ~np.isnan(low) & (y >= top) & (y <= bottom)
    return covered


def _stamp(s: Series, layout: Axes, codes: NDArray[np.uint32], styles: NDArray[np.intp]) -> None:
    x0, x1 = layout.span
    seen = np.isfinite(s.y) & (s.x >= x0) & (s.x <= x1)
    x = np.minimum((s.x[seen] - x0) / (x1 - x0) * layout.width, layout.width - 1).astype(int)
    y = layout.row(s.y[seen], layout.height)
    codes[y, x], styles[y, x] = ord(s.mark), s.style


def _runs(codes: NDArray[np.uint32], styles: NDArray[np.intp]) -> Row:
    text = codes.astype("<u4").tobytes().decode("utf-32-le")
    cuts = [0, *(np.flatnonzero(np.diff(styles)) + 1).tolist(), len(text)]
    return [(text[a:b], int(styles[a])) for a, b in itertools.pairwise(cuts)]


def _log(s: Series) -> Series:
    y: Floats = np.full(s.y.shape, np.nan)
    np.log10(s.y, out=y, where=s.y > 0)
    return Series(x=s.x, y=y, style=s.style, mark=s.mark, samples=s.samples)


def _log_x(s: Series) -> Series:
    there = s.x > 0
    return Series(x=np.log10(s.x[there]), y=s.y[there], style=s.style, mark=s.mark, samples=s.samples)


def _message(text: str, width: int, height: int) -> list[Row]:
    return [[(text[:width].center(width) if y == height // 2 else " " * width, 0)] for y in range(height)]
