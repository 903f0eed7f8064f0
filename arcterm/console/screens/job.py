"""A job, live or over: its progress, then its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from arcterm_registry.contracts import Curve
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from arcterm.console.charts import curves
from arcterm.console.charts.view import ChartView
from arcterm.console.keys import KeyLine
from arcterm.console.panels import job, log
from arcterm.console.rows import Rows
from arcterm.console.screens.run import IDLE_SECONDS, RunScreen
from arcterm.runs.reader import Look
from arcterm.runs.reading.ahead import EssentialsAhead
from arcterm.runs.store import Run

_LIVE_SECONDS = 0.25


class Account(Rows):
    """The report; the wheel scrolls it."""

    def on_mouse_scroll_down(self) -> None:
        self.call_later(self.screen.run_action, "scroll(3)")

    def on_mouse_scroll_up(self) -> None:
        self.call_later(self.screen.run_action, "scroll(-3)")


class JobScreen(RunScreen):
    """Progress, report and output of a job; it only reads, and asks."""

    leaving = "the job goes on"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("S", "stop", "stop", tooltip="stop the job; what is done is kept"),
        Binding("R", "resume", "resume", tooltip="go on where it was stopped"),
        Binding("f", "fork", "fork", tooltip="another job with this one's settings in the form"),
        Binding("v", "pictures", "pictures", tooltip="look at what it made, or else at what it read"),
        Binding("c", "curve", "curves", tooltip="the next curve of the report; after the last the report"),
        Binding("o", "output", "output", tooltip="the log over the whole screen, and back"),
        Binding("j,down", "scroll(1)", "down", tooltip="the next lines of the report; also the wheel"),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("ctrl+d,pagedown,space", "page(1)", "page down", show=False),
        Binding("ctrl+u,pageup", "page(-1)", "page up", show=False),
        Binding("g,home", "scroll(-1000000)", "first line", show=False),
        Binding("G,end", "scroll(1000000)", "last line", show=False),
    ]

    def __init__(self, run: Run, ahead: EssentialsAhead | None = None) -> None:
        super().__init__(run, ahead)
        self._top = 0
        self._chosen: int | None = None  # place of the curve that is shown; -1 for none

    def compose(self) -> ComposeResult:
        view = self.view
        yield Rows(lambda w, h: job.status(view, w, h), id="status")
        yield Rows(lambda w, h: job.progress(view, w, h), id="progress")
        yield Rows(lambda w, h: job.notice(view, w, h), id="notice")
        yield Rows(lambda w, h: job.command(view, w, h), id="command")
        with Horizontal(id="result"):
            yield Account(lambda w, h: job.account(view, w, h, self._top), id="account")
            yield ChartView(id="curve")
        yield Rows(lambda w, h: log.log(view, w, h), id="log")
        yield KeyLine()

    def take(self, look: Look) -> None:
        before = self.view.word
        changed = self.view.take(look)
        if self.view.loading:
            self.look_in(0)
        else:
            self.look_in(_LIVE_SECONDS if self.view.live else IDLE_SECONDS)
        if self.view.word != before:
            self.refresh_bindings()
        if changed:
            self.repaint()

    def refusal(self, action: str) -> str:
        if action == "curve" and not self._curves():
            return "its report has no curve"
        return super().refusal(action)

    def action_curve(self) -> None:
        """Go on to the next curve, after the last to the report alone."""
        after = self._place() + 1
        self._chosen = after if after < len(self._curves()) else -1
        self.repaint()

    def action_scroll(self, lines: int) -> None:
        place = self.query_one("#account", Rows)
        last = job.last_top(self.view, place.size.width, place.size.height)
        self._top = min(max(0, self._top + lines), last)
        place.repaint()

    def action_page(self, pages: int) -> None:
        self.action_scroll(pages * max(1, self.query_one("#account").size.height - 2))

    def action_fork(self) -> None:
        self.console_app.open_again(self.view.record.config)

    def action_pictures(self) -> None:
        """Show the pictures of its result, or else of its first path."""
        config, report = self.view.record.config, self.view.report
        if source := (report.result if report else "") or config.pictured:
            self.console_app.open_pictures(source)

    def repaint(self) -> None:
        view = self.view
        self._show_curve()
        self.set_class(not (view.live or view.log or view.summary.messages), "-silent")
        for rows in self.query(Rows):
            rows.repaint()

    def _curves(self) -> Sequence[Curve]:
        return self.view.report.curves if self.view.report else ()

    def _place(self) -> int:
        """The place of the curve that is shown, the first if there is room beside the report; -1 for none."""
        if self._chosen is None:
            return -1 if self.has_class("-narrow") or not self._curves() else 0
        return self._chosen

    def _show_curve(self) -> None:
        place = self._place()
        self.set_class(place >= 0, "-curve")
        if place >= 0:
            self.query_one(ChartView).plot(curves.reported(self._curves()[place]))
