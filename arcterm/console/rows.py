"""The one widget that panels are drawn with: rows of text, of which only the changed ones are painted."""

from __future__ import annotations

from collections.abc import Callable

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from arcterm.console import terminal
from arcterm.console.lines import Line
from arcterm.console.palette import palette

Painter = Callable[[int, int], list[Line]]
"""Draws a panel: (width, height) → at most `height` lines."""


class Rows(Widget):
    """Shows what a painter draws; `show` and `repaint` cost as much as the rows that differ."""

    DEFAULT_CSS = "Rows { height: 1; width: 1fr; }"

    def __init__(self, painter: Painter | None = None, *, id: str | None = None, classes: str = "") -> None:
        super().__init__(id=id, classes=classes)
        self._painter = painter
        self._lines: list[Line] = []
        self._palette: dict[str, Style] = {}

    def show(self, painter: Painter) -> None:
        """Draw with `painter` from now on."""
        self._painter = painter
        self.repaint()

    def repaint(self) -> None:
        """Draw again; rows that stay the same are not painted."""
        width, height = self.size
        if self._painter is None or not width or not height:
            return
        before, self._lines = self._lines, self._painter(width, height)[:height]
        for y in range(max(len(before), len(self._lines))):
            if self._line(before, y) != self._line(self._lines, y):
                self.refresh(Region(0, y, width, 1))

    def on_resize(self, event: events.Resize) -> None:
        """Draw everything for the new size."""
        self._lines = []
        self.repaint()
        self.refresh()

    def notify_style_update(self) -> None:
        """Forget the colours of the old theme."""
        self._palette = {}
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Row `y` as Textual wants it: every segment with a style, exactly as wide as the widget."""
        base = self.rich_style
        self._palette = self._palette or palette(self.app.theme_variables)
        plain = getattr(self.app, "ascii", False)
        segments = [
            Segment(terminal.plain(text) if plain else text, base + self._palette[role])
            for text, role in self._line(self._lines, y)
        ]
        return Strip(segments).adjust_cell_length(self.size.width, base)

    @staticmethod
    def _line(lines: list[Line], y: int) -> Line:
        return lines[y] if y < len(lines) else []
