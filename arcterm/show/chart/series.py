"""A curve to draw, and a line beside it to compare with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """`x` (N,) rising, `y` (N,) with NaN or infinity where there is a gap.

    `style` is the index that its cells carry, `mark` its character where lines have no colours, `name` what a
    legend calls it. `samples`: few points worth a mark each, e.g. verifications. `signed`: its mark stands
    along the line now and then, so that lines differ without colours too.
    """

    x: Floats
    y: Floats
    style: int
    mark: str = "*"
    name: str = ""
    samples: bool = False
    signed: bool = False

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
