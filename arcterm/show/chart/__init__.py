"""Line charts of characters: pure functions from series to rows, no Textual. Begin with `render`."""

from __future__ import annotations

from arcterm.show.chart.axes import Scale, Span
from arcterm.show.chart.cells import MODES, Mode
from arcterm.show.chart.pyramid import MANY, Pyramid
from arcterm.show.chart.render import Drawn, Row, draw, message, render
from arcterm.show.chart.series import HorizontalLine, Series
from arcterm.show.chart.smoothing import Smoother, smooth, stepwise

__all__ = [
    "MANY",
    "MODES",
    "Drawn",
    "HorizontalLine",
    "Mode",
    "Pyramid",
    "Row",
    "Scale",
    "Series",
    "Smoother",
    "Span",
    "draw",
    "message",
    "render",
    "smooth",
    "stepwise",
]
