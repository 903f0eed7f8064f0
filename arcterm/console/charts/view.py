"""The widget of one chart: a title over it; only changed rows are painted."""

from __future__ import annotations

from textual.widget import Widget

from arcterm.console import terminal
from arcterm.console.charts.curves import BAND, STYLES, Curves
from arcterm.console.rows import Rows
from arcterm.show.chart import Drawn, Mode, Span, draw, message
from arcterm.show.lines import Line


def mode_of(widget: Widget, wanted: Mode = "braille") -> Mode:
    """The `wanted` mode, or the one that the terminal can show."""
    return "ascii" if getattr(widget.app, "ascii", False) else wanted


def picture(curves: Curves, size: tuple[int, int], mode: Mode, span: Span | None = None) -> Drawn | None:
    """Draw `curves` in `size` cells below the title, over the whole of x or a `span` of it.

    Without colours, where dots would hide the line over them, the band of measured values is left out.
    """
    shown = [s for s in curves.series if s.style != BAND]
    hidden = shown and mode != "ascii" and terminal.colourless()  # their dots would look like the line's
    return draw(
        shown if hidden else curves.series,
        (size[0], size[1] - 1),
        mode,
        span=span or curves.span,
        log=curves.log,
        scale=curves.scale,
        marks=mode == "ascii" or terminal.colourless(),
        guides=curves.guides,
        most=curves.most,
    )


def lines(
    curves: Curves,
    drawn: Drawn | None,
    size: tuple[int, int],
    cursor: float | None = None,
    chosen: bool = False,
) -> list[Line]:
    """The title and the rows of a chart as lines with roles."""
    below = (size[0], size[1] - 1)
    rows = message(curves.empty, below) if drawn is None else drawn.rows(cursor)
    title = curves.title(size[0], cursor, chosen)
    return [title, *([(text, STYLES[style]) for text, style in row] for row in rows)]


class ChartView(Rows):
    """Draws `Curves`, in braille or ASCII as the terminal can."""

    DEFAULT_CSS = "ChartView { height: 1fr; width: 1fr; }"

    def plot(self, curves: Curves) -> None:
        """Draw `curves` from now on."""

        def paint(width: int, height: int) -> list[Line]:
            size = width, height
            return lines(curves, picture(curves, size, mode_of(self)), size)

        self.show(paint)
