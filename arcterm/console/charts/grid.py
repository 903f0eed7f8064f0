"""The widget of many charts: rows and columns of them under one lens, with the crosshair at one x in all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from textual import events
from textual.geometry import Region
from textual.message import Message

from arcterm.console.charts import kept
from arcterm.console.charts.curves import Maker
from arcterm.console.charts.lens import Lens
from arcterm.console.charts.panes import SHAPES, Area, Pane, areas, fit
from arcterm.console.charts.view import lines, mode_of, picture
from arcterm.console.rows import Rows, safe
from arcterm.show.chart import Mode, Span
from arcterm.show.lines import Line, differing


class ChartGrid(Rows):
    """Draws the charts of `makers`: as many as there is room for, the others by `choose` or by name.

    `titles` are the names of the charts for a person, by those in `makers`. `redraw` asks the makers anew.
    All charts have the same `lens`. `Noted` says why a change has no effect on the chosen chart. `shape` is
    (rows, columns), None for as many as fit; lens, shape and mode are remembered under the name `keep`.
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
        keep: str = "charts",
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.makers = dict(makers)
        self.lens, self.shape, self.mode = kept.read(keep)
        self.filter = ""
        self._keep = keep
        self._titles = titles or {}
        self._first = self._chosen = 0
        self._panes: list[Pane] = []
        self._areas: list[Area] = []
        self._painted: list[list[Line]] = []
        self._known: dict[str, tuple[Pane, tuple[float | None, bool], list[Line]]] = {}
        self._stale: list[int] = []
        self._guides: dict[str, float] = {}
        self._by_mouse = False
        self._drag: tuple[int, Lens] | None = None

    @property
    def names(self) -> list[str]:
        """The names of the charts that the filter lets through, in order."""
        return [name for name in self.makers if self._matches(name)] or list(self.makers)

    @property
    def titles(self) -> list[str]:
        """What the charts are called."""
        return [self.title(name) for name in self.makers]

    def title(self, name: str) -> str:
        """What a chart is called."""
        return self._titles.get(name, name)

    @property
    def chosen(self) -> str:
        """The name of the chart that keys act on where they act on one."""
        names = self.names
        return names[self._chosen % len(names)]

    @property
    def panes(self) -> list[Pane]:
        """The charts as they are drawn now."""
        return self._panes

    @property
    def pane(self) -> Pane | None:
        """The chosen chart; None before it is drawn."""
        return next((pane for pane in self._panes if pane.name == self.chosen), None)

    def redraw(self) -> None:
        """Draw the charts anew, one in each turn of the event loop, so that no key waits for all of them."""
        wanted = self._layout()
        if [(pane.name, pane.area) for pane in self._panes] != wanted:
            self.draw_all()
        elif not self._stale and wanted:
            self._stale = list(range(len(wanted)))
            self._draw_next()

    def draw_all(self) -> None:
        """Draw the charts anew at once."""
        self._stale = []
        self._panes = [self._pane_of(name, area) for name, area in self._layout()]
        self.repaint()

    def look_by(self, lens: Lens) -> None:
        """Look at all charts by another `lens`, and remember it."""
        self.lens, before = lens, self.lens
        if replace(lens, cursor=None) == replace(before, cursor=None):
            self.repaint()
        else:
            self._remember()
            self.draw_all()

    def point(self, x: float | None) -> None:
        """Put the crosshair at `x`, at most at the newest point, or take it away; the mouse leaves it."""
        self._by_mouse = False
        newest = max((s.x[-1] for p in self._panes for s in p.curves.series if len(s.x)), default=math.inf)
        self.look_by(replace(self.lens, cursor=None if x is None else min(x, float(newest))))

    def move_cursor(self, cells: int) -> None:
        """Move the crosshair by so many columns of the chosen chart."""
        pane = self.pane
        if pane is None or pane.drawn is None or self.lens.cursor is None:
            return
        axes = pane.drawn.axes
        column = axes.cell(min(max(self.lens.cursor, axes.span[0]), axes.span[1])) or 0
        self.point(axes.x_at(min(max(column + cells, 0), axes.width - 1)))

    def toggle_guide(self) -> None:
        """Draw a line at the value under the crosshair in the chosen chart; take it away if there is one."""
        pane = self.pane
        if pane is None:
            return
        if self._guides.pop(pane.name, None) is None:
            value = None if self.lens.cursor is None else pane.curves.value_at(self.lens.cursor)
            if value is None:
                self.note("c shows a crosshair; a guide is drawn at the value under it")
                return
            self._guides[pane.name] = value
        self.draw_all()

    def choose(self, by: int) -> None:
        """Choose the next chart, or one further on; it comes into view."""
        self._chosen = (self._chosen + by) % len(self.names)
        self.draw_all()

    def find(self, text: str) -> bool:
        """Show the charts whose names hold `text`, all for none; returns whether there are any."""
        self.filter, self._first, self._chosen = text.strip().lower(), 0, 0
        self.draw_all()
        return any(map(self._matches, self.makers))

    def next_shape(self, by: int) -> None:
        """Go on to the next choice of rows and columns that fits."""
        size, count = tuple(self.size), len(self.names)
        shapes = [shape for shape in SHAPES if fit((size[0], size[1]), count, shape) == shape]
        now = fit((size[0], size[1]), count, self.shape)
        place = shapes.index(now) if now in shapes else -(by < 0)
        self.shape = shapes[(place + by) % len(shapes)]
        self._remember()
        self.draw_all()

    def next_mode(self) -> None:
        """Draw by braille, by blocks, or by letters, as far as the terminal can."""
        offered: tuple[Mode, ...] = ("ascii",) if mode_of(self) == "ascii" else ("braille", "blocks", "ascii")
        now = mode_of(self, self.mode)
        self.mode = offered[(offered.index(now) + 1) % len(offered)]
        self._remember()
        self.draw_all()
        if len(offered) == 1:
            self.note("this terminal shows ASCII alone")

    def reset(self) -> None:
        """Show all of x without a crosshair; where that is so already, put every setting back."""
        plain = replace(self.lens, span=None, cursor=None)
        if plain == self.lens:
            plain, self.shape, self.mode = Lens(), None, "braille"
            self.filter, self._first, self._chosen = "", 0, 0
            self.lens = replace(plain, log=not plain.log)  # so that everything is drawn
        self.look_by(plain)

    def note(self, text: str) -> None:
        """Remark on what a key did not do."""
        self.post_message(self.Noted(text))

    def explain(self, action: str) -> None:
        """Remark on why a key has no effect on the chosen chart, if it has none."""
        if (pane := self.pane) is not None and (why := pane.curves.refusals.get(action)):
            self.note(why)

    def whole(self) -> Span | None:
        """The whole range of x; None if there is none yet."""
        return next((pane.curves.span for pane in self._panes if pane.curves.span), None)

    # drawing

    def _fill(self) -> None:
        self._drawn_for = self.size
        self._stale = []
        self._panes = [self._pane_of(name, area) for name, area in self._layout()]
        self._areas = [pane.area for pane in self._panes]
        self._painted = [self._lines_of(pane) for pane in self._panes]
        self._lines = self._composed()

    def repaint(self) -> None:
        """Paint what differs in each chart: of a live one that is mostly a value in its title."""
        before, self._painted = self._painted, [self._lines_of(pane) for pane in self._panes]
        if [pane.area for pane in self._panes] != self._areas:
            self._areas = [pane.area for pane in self._panes]
            self.refresh()
        else:
            for area, old, new in zip(self._areas, before, self._painted, strict=True):
                for y, (one, other) in enumerate(
                    zip(old, new, strict=True) if old is not new else (), area.top
                ):
                    if one != other:
                        start, width = differing(one, other)
                        self.refresh(Region(area.left + start, y, width, 1))
        self._lines = self._composed()

    def _layout(self) -> list[tuple[str, Area]]:
        """The names of the charts that there is room for, among them the chosen one, and their places."""
        size, names = (self.size.width, self.size.height), self.names
        if not all(size) or not names:
            return []
        shape = fit(size, len(names), (1, 1) if self.screen.has_class("-zoomed") else self.shape)
        count = min(shape[0] * shape[1], len(names))
        self._chosen %= len(names)
        self._first = min(self._first, self._chosen)
        self._first = max(self._first, self._chosen - count + 1, 0)
        self._first = min(self._first, len(names) - count)
        shown = names[self._first : self._first + count]
        return list(zip(shown, areas(size, shape, count), strict=True))

    def _pane_of(self, name: str, area: Area) -> Pane:
        curves = self.makers[name](self.lens)
        if (guide := self._guides.get(name)) is not None:
            curves = curves.with_guide(guide)
        if self.filter:
            curves = replace(curves, name=f"{curves.name}  /{self.filter}")
        span = self.lens.visible(curves.span) if curves.span else None
        drawn = picture(curves, area.size, mode_of(self, self.mode), span)
        return Pane(name=name, area=area, curves=curves, drawn=drawn)

    def _draw_next(self) -> None:
        if not self._stale or not self.is_attached:
            return
        index = self._stale.pop(0)
        pane = self._panes[index]
        self._panes[index] = self._pane_of(pane.name, pane.area)
        self.repaint()
        if self._stale:
            asyncio.get_running_loop().call_soon(self.call_later, self._draw_next)

    def _lines_of(self, pane: Pane) -> list[Line]:
        """The lines of a chart; the same ones as before where nothing of it has changed."""
        look = self.lens.cursor, len(self._panes) > 1 and pane.name == self.chosen
        known = self._known.get(pane.name)
        if known is None or known[:2] != (pane, look):
            drawn = lines(pane.curves, pane.drawn, pane.area.size, *look)
            known = self._known[pane.name] = pane, look, [safe(line) for line in drawn]
        return known[2]

    def _composed(self) -> list[Line]:
        """The rows of the whole grid; it may have been made smaller since its charts were drawn."""
        rows: list[Line] = [[] for _ in range(max((a.top + a.height for a in self._areas), default=0))]
        for area, drawn in zip(self._areas, self._painted, strict=True):
            # the widget has its new size before it is told, and laid out anew
            for y, line in enumerate(drawn[: max(0, len(rows) - area.top)], area.top):
                rows[y] += [(" ", ""), *line] if area.left else line
        return rows

    def _matches(self, name: str) -> bool:
        return self.filter in f"{name} {self.title(name)}".lower()

    def _remember(self) -> None:
        kept.write(self._keep, self.lens, self.shape, self.mode)

    # the mouse

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel(1 / 1.25, event)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel(1.25, event)

    def _wheel(self, factor: float, event: events.MouseEvent) -> None:
        pane, whole = self._under(event), self.whole()
        if pane is not None and whole is not None:
            self.look_by(self.lens.zoomed(factor, pane.x_at(event.x), whole))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if (pane := self._under(event)) is not None:
            self._chosen = self.names.index(pane.name)
            self._drag = (event.x, self.lens)
            self.capture_mouse()
            self.repaint()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag what is visible, or put the crosshair under the pointer."""
        if self._drag is not None:
            start, lens = self._drag
            whole, pane = self.whole(), self.pane
            if whole is not None and pane is not None and pane.drawn is not None:
                self.look_by(lens.panned((start - event.x) / pane.drawn.axes.width, whole))
            return
        pane = self._under(event) if self.lens.cursor is None or self._by_mouse else None
        if pane is not None and (x := pane.x_at(event.x)) is not None:
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

    def _under(self, event: events.MouseEvent) -> Pane | None:
        return next((pane for pane in self._panes if pane.area.holds(event.x, event.y)), None)
