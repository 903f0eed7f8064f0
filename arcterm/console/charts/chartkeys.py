"""The keys of charts, for every screen with a `ChartGrid`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from arcterm.console import terminal
from arcterm.console.charts.export import Export, ExportBox
from arcterm.console.charts.grid import ChartGrid
from arcterm.console.charts.lens import AXES, LEVELS
from arcterm.console.charts.view import mode_of
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen, FootBox
from arcterm.show.lines import Line

_ZOOM, _PAN, _LEAP = 2.0, 0.25, 10


def _more(keys: str, action: str, description: str, tooltip: str) -> Binding:
    """A binding that the help lists and the line at the bottom does not."""
    return Binding(keys, action, description, show=False, tooltip=tooltip)


class ChartKeys(ConsoleScreen):
    """Smoothing, axes, crosshair, zoom and choice of the charts in the screen's `ChartGrid`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "chart_smooth", "smooth", tooltip="smoothing 0, 0.6, 0.9, 0.99 of the measured values"),
        _more("y", "chart_log", "log-y", "logarithmic y axis"),
        _more("x", "chart_axis", "x axis", "x by step, by epoch, by time since the first step"),
        Binding("c", "chart_crosshair", "crosshair", tooltip="values at one x in all charts; also the mouse"),
        _more("left,h", "chart_move(-1)", "crosshair left", "by one column"),
        _more("right,l", "chart_move(1)", "crosshair right", "by one column"),
        _more("shift+left,H", f"chart_move(-{_LEAP})", "far left", "the crosshair by ten columns"),
        _more("shift+right,L", f"chart_move({_LEAP})", "far right", "the crosshair by ten columns"),
        _more("plus,equals_sign", "chart_zoom(-1)", "zoom in", "about crosshair, pointer (wheel) or newest"),
        _more("minus", "chart_zoom(1)", "zoom out", "also the wheel"),
        _more("less_than_sign,comma", "chart_pan(-1)", "earlier", "move what is visible; also by dragging"),
        _more(
            "greater_than_sign,full_stop", "chart_pan(1)", "later", "move what is visible; also by dragging"
        ),
        _more("0", "chart_reset", "all of x", "no crosshair; again: all settings as they were"),
        _more("g", "chart_guide", "guide", "a line at the value under the crosshair, or none"),
        _more("B", "chart_band", "raw band", "the measured values behind the smoothed line, or not"),
        Binding("m", "chart_choose(1)", "metric", tooltip="the next metric; M the one before"),
        _more("M", "chart_choose(-1)", "previous metric", ""),
        _more("slash", "chart_find", "find a chart", "those whose names hold a text"),
        _more("left_parenthesis", "chart_shape(-1)", "fewer charts", "rows and columns"),
        _more("right_parenthesis", "chart_shape(1)", "more charts", "rows and columns"),
        _more("asterisk", "chart_mode", "dots", "braille, blocks, or letters alone"),
        _more("e", "chart_export", "export", "what is seen, as SVG, PNG or CSV"),
        Binding("z,enter", "zoom", "zoom", tooltip="one chart fills the screen, and back; also two clicks"),
    ]

    @property
    def charts(self) -> ChartGrid:
        """The charts of the screen."""
        return self.query_one(ChartGrid)

    def refusal(self, action: str) -> str:
        """What needs a crosshair."""
        if action == "chart_move":
            grids = self.query(ChartGrid)
            if not grids or grids.first().lens.cursor is None:
                return "c shows a crosshair, which this moves"
        return super().refusal(action)

    def action_chart_smooth(self) -> None:
        lens = self.charts.lens
        level = LEVELS.index(lens.weight) if lens.weight in LEVELS else 0
        self.charts.look_by(replace(lens, weight=LEVELS[(level + 1) % len(LEVELS)]))
        self.charts.explain("smooth")

    def action_chart_log(self) -> None:
        self.charts.look_by(replace(self.charts.lens, log=not self.charts.lens.log))
        self.charts.explain("log")

    def action_chart_axis(self) -> None:
        """Go on to the next x axis; what was visible is another part there, so that all is shown."""
        lens = self.charts.lens
        axis = AXES[(AXES.index(lens.x) + 1) % len(AXES)]
        self.charts.look_by(replace(lens, x=axis, span=None, cursor=None))
        self.charts.explain("axis")

    def action_chart_band(self) -> None:
        self.charts.look_by(replace(self.charts.lens, band=not self.charts.lens.band))
        self.charts.explain("band")
        if terminal.colourless() and mode_of(self.charts, self.charts.mode) != "ascii":
            self.charts.note("without colours the measured values would hide the line; * draws letters")

    def action_chart_crosshair(self) -> None:
        """Show the crosshair at the newest x, or hide it."""
        lens, whole = self.charts.lens, self.charts.whole()
        if whole is None:
            self.charts.note("there is nothing to point at yet")
            return
        end = lens.visible(whole)[1]
        self.charts.point(end if lens.cursor is None else None)
        self.refresh_bindings()

    def action_chart_move(self, cells: int) -> None:
        self.charts.move_cursor(cells)

    def action_chart_zoom(self, direction: int) -> None:
        lens, whole = self.charts.lens, self.charts.whole()
        if whole is not None:
            self.charts.look_by(lens.zoomed(_ZOOM**direction, lens.cursor, whole))

    def action_chart_pan(self, direction: int) -> None:
        lens, whole = self.charts.lens, self.charts.whole()
        if lens.span is None:
            self.charts.note("all is visible; + shows a part, which < and > move")
        elif whole is not None:
            self.charts.look_by(lens.panned(_PAN * direction, whole))

    def action_chart_reset(self) -> None:
        self.charts.reset()
        self.refresh_bindings()

    def action_chart_guide(self) -> None:
        """Draw a line at the value under the crosshair of the chosen chart, or take it away."""
        self.charts.toggle_guide()

    def action_chart_shape(self, by: int) -> None:
        self.charts.next_shape(by)

    def action_chart_mode(self) -> None:
        self.charts.next_mode()

    def action_chart_export(self) -> None:
        self.app.push_screen(ExportBox(self.charts, self.subject), self._export)

    def action_chart_choose(self, by: int) -> None:
        self.charts.choose(by)

    def action_chart_find(self) -> None:
        self.app.push_screen(FindChart(self.charts))

    def action_escape(self) -> None:
        """Show all charts again where only those of a name are shown; else what ``q`` does."""
        if self.charts.filter:
            self.charts.find("")
        else:
            super().action_escape()

    @property
    def subject(self) -> str:
        """What the charts are about, for titles and names of files."""
        return ""

    def _export(self, chosen: object) -> None:
        """Write the files that the box answered with."""
        if isinstance(chosen, Export):
            self.act(lambda: self._exported(chosen.write()))

    def _exported(self, paths: Sequence[Path]) -> Callable[[], None]:
        return lambda: self.notify(f"wrote {', '.join(map(str, paths))}", timeout=5, markup=False)

    def action_zoom(self) -> None:
        """Let the chosen chart fill the screen, or put it back."""
        self.toggle_class("-zoomed")
        self.call_after_refresh(self.charts.redraw)

    def on_chart_grid_noted(self, message: ChartGrid.Noted) -> None:
        self.app.notify(message.text, timeout=3, markup=False)

    def on_chart_grid_zoomed(self, message: ChartGrid.Zoomed) -> None:
        self.action_zoom()


class FindChart(FootBox):
    """A line at the bottom; the charts behind it follow what is typed."""

    def __init__(self, charts: ChartGrid) -> None:
        super().__init__()
        self._charts = charts
        self._none = False

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Rows(self._hint)
            yield Input(self._charts.filter, compact=True)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._none = not self._charts.find(event.value)
        self.query_one(Rows).repaint()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(None)

    def action_cancel(self) -> None:
        """Show all charts again."""
        self._charts.find("")
        self.dismiss(None)

    def _hint(self, width: int, height: int) -> list[Line]:
        if self._none:
            return [[(" no chart has such a name; there are " + ", ".join(self._charts.titles), "warn")]]
        return [
            [
                (" charts whose name holds   ", "head"),
                ("enter", "key"),
                (" keep  ", "dim"),
                ("esc", "key"),
                (" all", "dim"),
            ]
        ]
