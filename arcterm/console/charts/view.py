"""The chart widget: a title over a chart, of which only changed rows are painted."""

from __future__ import annotations

from arcterm.console import terminal
from arcterm.console.charts.curves import STYLES, Curves
from arcterm.console.rows import Rows
from arcterm.show.chart import render
from arcterm.show.lines import Line


class ChartView(Rows):
    """Draws `Curves`, in braille or ASCII as the terminal can."""

    DEFAULT_CSS = "ChartView { height: 1fr; width: 1fr; }"

    def plot(self, curves: Curves) -> None:
        """Draw `curves` from now on."""
        self.show(lambda width, height: self._draw(curves, width, height))

    def _draw(self, curves: Curves, width: int, height: int) -> list[Line]:
        ascii_only = bool(getattr(self.app, "ascii", False))
        rows = render(
            curves.series,
            (width, height - 1),
            "ascii" if ascii_only else "braille",
            span=curves.span,
            log=curves.log,
            log_x=curves.log_x,
            marks=ascii_only or terminal.colourless(),
            empty=curves.empty,
        )
        return [curves.title(width), *([(text, STYLES[style]) for text, style in row] for row in rows)]
