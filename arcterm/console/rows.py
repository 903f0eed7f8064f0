"""The widget that draws panels: rows of text, of which only the changed ones are painted."""

from __future__ import annotations

from collections.abc import Callable

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from arcterm.console import terminal
from arcterm.console.palette import palette
from arcterm.show.lines import Line
from arcterm.text import clean

Painter = Callable[[int, int], list[Line]]
"""Draws a panel: (width, height) → at most `height` lines."""


class Rows(Widget):
    """Shows the lines of a painter; `show` and `repaint` cost as much as the rows that differ."""

    DEFAULT_CSS = "Rows { height: 1; width: 1fr; }"

    def __init__(self, painter: Painter | None = None, *, id: str | None = None, classes: str = "") -> None:
        super().__init__(id=id, classes=classes)
        self._painter = painter
        self._lines: list[Line] = []
        self._drawn_for = Size(0, 0)
        self._palette: dict[str, Style] = {}
        self._base: Style | None = None

    def show(self, painter: Painter) -> None:
        """Draw with `painter` from now on."""
        self._painter = painter
        self.repaint()

    def repaint(self) -> None:
        """Draw again; rows that stay the same are not painted."""
        before = self._lines
        self._fill()
        for y in range(max(len(before), len(self._lines))):
            if self._line(before, y) != self._line(self._lines, y):
                self.refresh(Region(0, y, self.size.width, 1))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Rows that it has, whatever room there is, where its height is ``auto``."""
        return max(1, len(self._painter(width, 0))) if self._painter is not None and width else 1

    def _fill(self) -> None:
        """Draw the lines for the size that there is."""
        self._drawn_for = self.size
        width, height = self.size
        if self._painter is not None and width and height:
            self._lines = [safe(line) for line in self._painter(width, height)[:height]]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw for a new size in its first frame; Textual posts `Resize` after that."""
        if self._drawn_for != self.size:
            self._fill()
            # of a widget that was hidden and has its old size again Textual keeps the rows that it painted
            self._styles_cache.clear()
        self._base = self.rich_style  # once for all rows: it is that of all ancestors together
        try:
            return super().render_lines(crop)
        finally:
            self._base = None

    def notify_style_update(self) -> None:
        """Drop the colours of the old theme."""
        self._palette = {}
        super().notify_style_update()

    def render_line(self, y: int) -> Strip:
        """Row `y` for Textual: every segment with a style, exactly as wide as the widget."""
        base = self._base or self.rich_style
        self._palette = self._palette or palette(self.app.theme_variables)
        segments = [
            Segment(text, base + self._palette[role])
            for text, role in self._drawn(self._line(self._lines, y))
        ]
        strip = Strip(segments).adjust_cell_length(self.size.width, base)
        span = self.text_selection.get_span(y) if self.text_selection is not None else None
        if span is not None:
            strip = self._selected(strip, *span)
        return strip.apply_offsets(0, y) if self.ALLOW_SELECT else strip

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """The selected text, as drawn, for the clipboard."""
        rows = ["".join(text for text, _ in self._drawn(line)).rstrip() for line in self._lines]
        return "\n".join(row.rstrip() for row in selection.extract("\n".join(rows)).split("\n")), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def _drawn(self, line: Line) -> Line:
        return [(terminal.plain(t), role) for t, role in line] if getattr(self.app, "ascii", False) else line

    def _selected(self, strip: Strip, start: int, end: int) -> Strip:
        """`strip` with its characters from `start` to `end` (-1: the last) marked."""
        text = strip.text
        end = len(text) if end < 0 else end
        cuts = [cell_len(text[:start]), cell_len(text[:end]), strip.cell_length]
        before, marked, after = strip.divide(cuts)
        style = self.screen.get_component_rich_style("screen--selection")
        return Strip.join([before, Strip([Segment(t, (s or style) + style, c) for t, s, c in marked]), after])

    @staticmethod
    def _line(lines: list[Line], y: int) -> Line:
        return lines[y] if y < len(lines) else []


def safe(line: Line) -> Line:
    """`line` with its texts cleaned: names, messages and paths of strangers are among them."""
    return [(t if t.isprintable() else clean(t).replace("\t", " "), role) for t, role in line]
