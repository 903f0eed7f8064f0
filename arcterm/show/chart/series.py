"""A curve to draw, and a line beside it to compare with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from arcterm.show.chart.pyramid import Pyramid

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """`x` (N,) rising, `y` (N,) with NaN or infinity where there is a gap.

    `style` is the index that its cells carry, `mark` its character where lines have no colours, `name` what a
    legend calls it. `samples`: few points worth a mark each, e.g. verifications. `signed`: its mark stands
    along the line now and then, so that lines differ without colours too. A sign points at
    the point at the x of `best`. `pyramid` is that of `y` where there are very many points.
    """

    x: Floats
    y: Floats
    style: int
    mark: str = "*"
    name: str = ""
    samples: bool = False
    signed: bool = False
    best: float | None = None
    pyramid: Pyramid | None = None

    def thinned(self, span: tuple[float, float] | None, columns: int) -> Series:
        """Return the part in `span` with the points that so many columns need; itself without a pyramid."""
        if self.pyramid is None:
            return self
        x0, x1 = span or (float(self.x[0]), float(self.x[-1]))
        begin, end = int(np.searchsorted(self.x, x0, "left")), int(np.searchsorted(self.x, x1, "right"))
        borders = np.searchsorted(self.x, np.linspace(x0, x1, columns + 1), "left")
        kept = self.pyramid.points(begin, end, borders)
        return replace(self, x=self.x[kept], y=self.y[kept], pyramid=None)

    def reaches(self, x: float) -> bool:
        """Whether `x` is on the line, or no further from its ends than its points are from each other."""
        if len(self.x) < 2:
            return len(self.x) == 1
        first, last = float(self.x[0]), float(self.x[-1])
        apart = (last - first) / (len(self.x) - 1)
        return first - apart <= x <= last + apart

    def at(self, x: float) -> tuple[float, float] | None:
        """Return the point nearest to `x`; None where there are no points."""
        if not len(self.x):
            return None
        after = min(int(np.searchsorted(self.x, x)), len(self.x) - 1)
        before = max(after - 1, 0)
        nearest = after if self.x[after] - x < x - self.x[before] else before
        return float(self.x[nearest]), float(self.y[nearest])


@dataclass(frozen=True, kw_only=True)
class HorizontalLine:
    """A horizontal line at the value `y`."""

    y: float
    style: int = 0
