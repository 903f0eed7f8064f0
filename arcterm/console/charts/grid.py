"""The widget of many charts: rows and columns of them under one lens, with the crosshair at one x in all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from textual import events
from textual.message import Message

from arcterm.console.charts.curves import Curves, Maker
from arcterm.console.charts.lens import AXES, LEVELS, Lens
from arcterm.console.charts.view import lines, mode_of, picture
from arcterm.console.rows import Rows
from arcterm.show.chart import Drawn, Span
from arcterm.show.lines import Line

ZOOM_STEP = 2.0
_WHEEL_STEP = 1.25
_WIDTH, _HEIGHT = 38, 9
"""A chart gets at least so many cells before another one is placed beside or below it."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pane:
    """One chart of the grid: where it is, and what was drawn there."""

    name: str
    left: int
    top: int
    width: int
    height: int
    curves: Curves
    drawn: Drawn | None

    def holds(self, x: int, y: int) -> bool:
        return self.left <= x < self.left + self.width and self.top <= y < self.top + self.height


class ChartGrid(Rows):
    """Draws the charts of `makers`: as many as there is room for, the others by `choose` or by name.

    `titles` are the names of the charts for a person, by those in `makers`. `redraw` asks the makers anew.
    All charts have the same `lens`. `Noted` says why a change has no effect on the chosen chart.
    """

    DEFAULT_CSS = "ChartGrid { height: 1fr; width: 1fr; }"
    ALLOW_SELECT = False  # dragging moves what is seen

    @dataclass
    class Noted(Message):
        """A remark on what a key did not do."""

        text: str

    @dataclass
    class Zoomed(Message):
        """A chart was clicked twice."""

    def __init__(
        self,
        makers: Mapping[str, Maker],
        titles: Mapping[str, str] | None = None,
        *,
        shape: tuple[int, int] | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(self._paint, id=id)
        self.lens = Lens()
        self.makers = dict(makers)
        self.shape = shape
        self.filter = ""
        self._titles = titles or {}
        self._first = self._chosen = 0
        self._panes: list[Pane] = []
        self._by_mouse = False
        self._drag: tuple[int, Lens] | None = None

    @property
    def names(self) -> list[str]:
        """The names of the charts that the filter lets through, in order."""
        return [name for name in self.makers if self._matches(name)] or list(self.makers)

    @property
    def titles(self) -> list[str]:
        """What the charts are called."""
        return [self._titles.get(name, name) for name in self.makers]

    @property
    def chosen(self) -> str:
        """The name of the chart that keys act on where they act on one."""
        names = self.names
        return names[self._chosen % len(names)]

    @property
    def panes(self) -> list[Pane]:
        """The charts as they are drawn now."""
        return self._panes

    def redraw(self) -> None:
        """Draw all charts anew."""
        width, height = self.size
        if width and height and self.makers:
            self._panes = self._placed(width, height)
            self.repaint()

    def look_by(self, lens: Lens) -> None:
        """Look at all charts by another `lens`."""
        self.lens, before = lens, self.lens
        if replace(lens, cursor=None) == replace(before, cursor=None):
            self.repaint()
        else:
            self.redraw()

    # what the keys do

    def next_smoothing(self) -> None:
        level = LEVELS.index(self.lens.weight) if self.lens.weight in LEVELS else 0
        self.look_by(replace(self.lens, weight=LEVELS[(level + 1) % len(LEVELS)]))
        self._explain("smooth")

    def toggle_log(self) -> None:
        self.look_by(replace(self.lens, log=not self.lens.log))
        self._explain("log")

    def next_axis(self) -> None:
        """Go on to the next x axis; what was visible is another part there, so that all is shown."""
        axis = AXES[(AXES.index(self.lens.x) + 1) % len(AXES)]
        self.look_by(replace(self.lens, x=axis, span=None, cursor=None))
        self._explain("axis")

    def toggle_band(self) -> None:
        self.look_by(replace(self.lens, band=not self.lens.band))
        self._explain("band")

    def toggle_crosshair(self) -> None:
        """Show the crosshair at the newest x, or hide it."""
        self._by_mouse = False
        whole = self._visible()
        if whole is None:
            self.post_message(self.Noted("there is nothing to point at yet"))
        else:
            self.look_by(replace(self.lens, cursor=whole[1] if self.lens.cursor is None else None))

    def move_cursor(self, cells: int) -> None:
        """Move the crosshair by so many columns of the chosen chart."""
        pane = self._pane(self.chosen)
        if pane is None or pane.drawn is None or self.lens.cursor is None:
            return
        axes = pane.drawn.axes
        column = axes.cell(self.lens.cursor)
        column = (0 if self.lens.cursor < axes.span[0] else axes.width) if column is None else column + cells
        self._by_mouse = False
        self.look_by(replace(self.lens, cursor=axes.x_at(min(max(column, 0), axes.width - 1))))

    def zoom(self, factor: float, about: float | None = None) -> None:
        """Show `factor` times as much of x, about the crosshair if there is one, else about the newest."""
        if (whole := self._whole()) is not None:
            self.look_by(self.lens.zoomed(factor, self.lens.cursor if about is None else about, whole))

    def pan(self, by: float) -> None:
        """Move what is visible by a share of its width."""
        whole = self._whole()
        if self.lens.span is None:
            self.post_message(self.Noted("all is visible; + shows a part, which < and > move"))
        elif whole is not None:
            self.look_by(self.lens.panned(by, whole))

    def reset(self) -> None:
        """Show all of x without a crosshair; where that is so already, put every setting back."""
        plain = replace(self.lens, span=None, cursor=None)
        if plain == self.lens:
            plain, self.shape, self.filter, self._first, self._chosen = Lens(), None, "", 0, 0
        self.look_by(plain)
        self.redraw()

    def choose(self, by: int) -> None:
        """Choose the next chart, or one further on; it comes into view."""
        self._chosen = (self._chosen + by) % len(self.names)
        self.redraw()

    def find(self, text: str) -> bool:
        """Show the charts whose names hold `text`, all for none; returns whether there are any."""
        self.filter, self._first, self._chosen = text.strip().lower(), 0, 0
        self.redraw()
        return any(map(self._matches, self.makers))

    # drawing

    def on_resize(self, event: events.Resize) -> None:
        self.redraw()
        super().on_resize(event)

    def _placed(self, width: int, height: int) -> list[Pane]:
        """The charts that there is room for, among them the chosen one."""
        names = self.names
        rows, columns = self._shape(width, height, len(names))
        count = min(rows * columns, len(names))
        self._chosen %= len(names)
        if (self._chosen - self._first) % len(names) >= count:
            self._first = self._chosen if self._chosen < self._first else self._chosen - count + 1
        lefts = [width * c // columns for c in range(columns + 1)]
        tops = [height * r // rows for r in range(rows + 1)]
        panes = []
        for place in range(count):
            r, c = divmod(place, columns)
            name = names[(self._first + place) % len(names)]
            last = c == columns - 1
            size = lefts[c + 1] - lefts[c] - (0 if last else 1), tops[r + 1] - tops[r]
            curves = self.makers[name](self.lens)
            span = self.lens.visible(curves.span) if curves.span else None
            panes.append(
                Pane(
                    name=name,
                    left=lefts[c],
                    top=tops[r],
                    width=size[0],
                    height=size[1],
                    curves=curves,
                    drawn=picture(curves, size, mode_of(self), span),
                )
            )
        return panes

    def _shape(self, width: int, height: int, count: int) -> tuple[int, int]:
        """Rows and columns: those that were asked for, else as many as there is room for."""
        if self.screen.has_class("-zoomed"):
            return 1, 1
        rows, columns = self.shape or (max(1, height // _HEIGHT), max(1, width // _WIDTH))
        columns = min(columns, max(1, width // 18), count)
        return min(rows, max(1, height // 5), -(-count // columns)), columns

    def _paint(self, width: int, height: int) -> list[Line]:
        rows: list[Line] = [[] for _ in range(height)]
        several = len(self._panes) > 1
        for pane in self._panes:
            chosen = several and pane.name == self.chosen
            size = pane.width, pane.height
            for y, line in enumerate(
                lines(pane.curves, pane.drawn, size, self.lens.cursor, chosen), pane.top
            ):
                if pane.left:
                    rows[y].append((" ", ""))
                rows[y] += line
        return rows

    # the mouse

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.zoom(1 / _WHEEL_STEP, self._x_at(event))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.zoom(_WHEEL_STEP, self._x_at(event))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        pane = self._under(event)
        if pane is not None:
            self._chosen = self.names.index(pane.name)
            self._drag = (event.x, self.lens)
            self.capture_mouse()
            self.repaint()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag what is visible, or put the crosshair under the pointer."""
        pane = self._pane(self.chosen) if self._drag else self._under(event)
        if self._drag is not None and pane is not None and pane.drawn is not None:
            start, lens = self._drag
            whole = self._whole()
            if whole is not None and event.x != start:
                self.look_by(lens.panned((start - event.x) / pane.drawn.axes.width, whole))
        elif (x := self._x_at(event)) is not None and (self.lens.cursor is None or self._by_mouse):
            self._by_mouse = True
            self.look_by(replace(self.lens, cursor=x))

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self.release_mouse()
        self._drag = None

    def on_click(self, event: events.Click) -> None:
        if event.chain == 2:
            self.post_message(self.Zoomed())

    def on_leave(self, event: events.Leave) -> None:
        """Take away a crosshair that the mouse has set."""
        if self._by_mouse and self._drag is None:
            self._by_mouse = False
            self.look_by(replace(self.lens, cursor=None))

    # where things are

    def _under(self, event: events.MouseEvent) -> Pane | None:
        return next((pane for pane in self._panes if pane.holds(event.x, event.y)), None)

    def _pane(self, name: str) -> Pane | None:
        return next((pane for pane in self._panes if pane.name == name), None)

    def _x_at(self, event: events.MouseEvent) -> float | None:
        """The x under the pointer; None outside of the plots."""
        pane = self._under(event)
        if pane is None or pane.drawn is None:
            return None
        axes = pane.drawn.axes
        cell = event.x - pane.left - axes.left
        return axes.x_at(cell) if 0 <= cell < axes.width else None

    def _whole(self) -> Span | None:
        """The whole range of x."""
        return next((pane.curves.span for pane in self._panes if pane.curves.span), None)

    def _visible(self) -> Span | None:
        whole = self._whole()
        return self.lens.visible(whole) if whole else None

    def _matches(self, name: str) -> bool:
        return self.filter in f"{name} {self._titles.get(name, '')}".lower()

    def _explain(self, action: str) -> None:
        pane = self._pane(self.chosen)
        if pane is not None and (why := pane.curves.refusals.get(action)):
            self.post_message(self.Noted(why))
