"""Where the charts of a grid stand, and what is drawn there."""

from __future__ import annotations

from dataclasses import dataclass

from arcterm.console.charts.curves import Curves
from arcterm.show.chart import Drawn

WIDTH, HEIGHT = 38, 9
"""A chart gets at least so many cells before another one is placed beside or below it."""
SHAPES = ((1, 1), (2, 1), (1, 2), (2, 2), (3, 2), (2, 3), (3, 3), (4, 3), (4, 4))
"""Rows and columns that a key goes through."""
_NARROWEST, _LOWEST = 18, 5


@dataclass(frozen=True, kw_only=True)
class Area:
    """The cells of one chart in its grid."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height

    def holds(self, x: int, y: int) -> bool:
        """Return whether the cell (x, y) of the grid is one of them."""
        return self.left <= x < self.left + self.width and self.top <= y < self.top + self.height


@dataclass(frozen=True, kw_only=True, eq=False)
class Pane:
    """The chart called `name` as it was drawn last; `drawn` is None where there was nothing to draw."""

    name: str
    area: Area
    curves: Curves
    drawn: Drawn | None

    def x_at(self, x: int) -> float | None:
        """Return the x of the chart in column `x` of the grid; None beside the plot."""
        if self.drawn is None:
            return None
        cell = x - self.area.left - self.drawn.axes.left
        return self.drawn.axes.x_at(cell) if 0 <= cell < self.drawn.axes.width else None


def fit(size: tuple[int, int], count: int, wanted: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns for `count` charts: those `wanted` as far as they fit, else those that fit."""
    width, height = size
    rows, columns = wanted or (max(1, height // HEIGHT), max(1, width // WIDTH))
    columns = min(columns, max(1, width // _NARROWEST), count)
    return min(rows, max(1, height // _LOWEST), -(-count // columns)), columns


def areas(size: tuple[int, int], shape: tuple[int, int], count: int) -> list[Area]:
    """The places of `count` charts, row by row, with an empty column between them."""
    (width, height), (rows, columns) = size, shape
    lefts = [width * c // columns for c in range(columns)] + [width + 1]
    tops = [height * r // rows for r in range(rows + 1)]
    cells = [(r, c) for r in range(rows) for c in range(columns)][:count]
    return [
        Area(
            left=lefts[c],
            top=tops[r],
            width=lefts[c + 1] - lefts[c] - 1,
            height=tops[r + 1] - tops[r],
        )
        for r, c in cells
    ]
