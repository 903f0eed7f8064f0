"""Line charts of characters: pure functions from series to rows, no Textual."""

from __future__ import annotations

from arcterm.show.chart.render import Mode, Row, render
from arcterm.show.chart.series import Series, Smoother, smooth, stepwise

__all__ = ["Mode", "Row", "Series", "Smoother", "render", "smooth", "stepwise"]
