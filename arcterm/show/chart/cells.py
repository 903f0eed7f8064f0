"""Curves as cells of text: dots in braille, quarter blocks, or one ASCII character a cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from arcterm.show.chart.axes import Axes
from arcterm.show.chart.columns import columns, join
from arcterm.show.chart.series import Floats, HorizontalLine, Series

Mode = Literal["braille", "blocks", "ascii"]
MODES: tuple[Mode, ...] = ("braille", "blocks", "ascii")
Codes = NDArray[np.uint32]
Styles = NDArray[np.intp]

BLANK = ord(" ")
_BEST: dict[Mode, str] = {"braille": "▾▴", "blocks": "▾▴", "ascii": "v^"}
"""The signs that point at the best value of a line: from above, from below."""
_QUARTERS = np.array([ord(c) for c in " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"], np.uint32)
_BRAILLE = np.arange(0x2800, 0x2900, dtype=np.uint32)
_BRAILLE[0] = BLANK
_GLYPHS: dict[Mode, Codes] = {"braille": _BRAILLE, "blocks": _QUARTERS}
_BITS: dict[Mode, NDArray[np.intp]] = {
    "braille": np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]),
    "blocks": np.array([[1, 2], [4, 8]]),
    "ascii": np.array([[1]]),
}
_SPARSE = 5
_SIGN_EVERY, _SIGN_SHIFT = 18, 5


def cells(
    curves: Sequence[Series], layout: Axes, mode: Mode, marks: bool, guides: Sequence[HorizontalLine] = ()
) -> tuple[Codes, Styles]:
    """Character codes and style indices (height, width) of the plot's cells.

    Where curves meet in a cell the dots of all of them stay, in the style of the later one.
    """
    shape = layout.height, layout.width
    bits, codes = np.zeros(shape, np.intp), np.full(shape, BLANK, np.uint32)
    styles = np.zeros(shape, np.intp)
    for guide in guides:
        if layout.low <= guide.y <= layout.high:
            y = layout.row(np.array([guide.y]), layout.height)[0]
            codes[y], styles[y] = ord("-" if mode == "ascii" else "╌"), guide.style
    traced = [trace(s, layout, mode) for s in curves]
    for s, (low, high) in zip(curves, traced, strict=True):
        own = _packed(bitmap(low, high, layout, mode), mode)
        hit = own > 0
        bits |= own
        styles[hit] = s.style
        if mode == "ascii":
            codes[hit] = ord(s.mark)
    if mode != "ascii":
        codes = np.where(bits > 0, _GLYPHS[mode][bits], codes)
    signed = [place for place, s in enumerate(curves) if s.signed]
    for order, place in enumerate(signed):
        _sign(curves[place], traced[place], order, layout, mode, (codes, styles))
    for s in curves:
        if s.samples and (marks or len(s.x) * _SPARSE <= layout.width):
            _stamp(s, layout, codes, styles)
    for s in curves:
        _point_at_best(s, layout, mode, codes, styles)
    return codes, styles


def dot_columns(layout: Axes, mode: Mode) -> int:
    """How many columns of dots the plot has."""
    return layout.width * int(_BITS[mode].shape[1])


def trace(s: Series, layout: Axes, mode: Mode) -> tuple[Floats, Floats]:
    """The lowest and the highest value of the line in each column of dots; NaN where there is none."""
    return join(columns(s.x, s.y, *layout.span, dot_columns(layout, mode)))


def bitmap(low: Floats, high: Floats, layout: Axes, mode: Mode) -> NDArray[np.bool_]:
    """Which dots (rows, columns) a traced line covers."""
    dots = layout.height * _BITS[mode].shape[0]
    top, bottom = layout.row(high, dots), layout.row(low, dots)
    y = np.arange(dots)[:, None]
    covered: NDArray[np.bool_] = ~np.isnan(low) & (y >= top) & (y <= bottom)
    return covered


def _packed(dots: NDArray[np.bool_], mode: Mode) -> NDArray[np.intp]:
    """The dots of each cell as bits of one number."""
    bits = _BITS[mode]
    rows, across = bits.shape
    packed: NDArray[np.intp] = np.zeros((dots.shape[0] // rows, dots.shape[1] // across), np.intp)
    for y in range(rows):
        for x in range(across):
            packed |= np.where(dots[y::rows, x::across], bits[y, x], 0)
    return packed


def _stamp(s: Series, layout: Axes, codes: Codes, styles: Styles) -> None:
    """Put the series' mark on each of its samples."""
    x0, x1 = layout.span
    seen = np.isfinite(s.y) & (s.x >= x0) & (s.x <= x1)
    x = np.minimum((s.x[seen] - x0) / (x1 - x0) * layout.width, layout.width - 1).astype(int)
    y = layout.row(s.y[seen], layout.height)
    codes[y, x], styles[y, x] = ord(s.mark), s.style


def _point_at_best(s: Series, layout: Axes, mode: Mode, codes: Codes, styles: Styles) -> None:
    """Put a sign above the series' best point, or below it where there is no room."""
    found = None if s.best is None else s.at(s.best)
    column = None if found is None else layout.cell(found[0])
    if found is None or column is None:
        return
    row = int(layout.row(np.array([found[1]]), layout.height)[0])
    places = [
        (at, sign)
        for at, sign in zip((row - 1, row + 1), _BEST[mode], strict=True)
        if 0 <= at < layout.height
    ]
    at, sign = next((place for place in places if codes[place[0], column] == BLANK), places[0])
    codes[at, column], styles[at, column] = ord(sign), s.style


def _sign(
    s: Series,
    traced: tuple[Floats, Floats],
    order: int,
    layout: Axes,
    mode: Mode,
    into: tuple[Codes, Styles],
) -> None:
    """Put the series' mark on its line now and then, elsewhere than the marks of the series before."""
    per = _BITS[mode].shape[1]
    middle = ((traced[0] + traced[1]) / 2)[::per]
    places = np.arange(2 + order * _SIGN_SHIFT % _SIGN_EVERY, layout.width, _SIGN_EVERY)
    places = places[~np.isnan(middle[places])]
    rows = layout.row(middle[places], layout.height)
    codes, styles = into
    codes[rows, places], styles[rows, places] = ord(s.mark), s.style
