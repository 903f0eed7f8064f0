"""A job, live or over: its progress, then its report."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from arcterm.console.keys import KeyLine
from arcterm.console.messages import Looked, LookFailed
from arcterm.console.panels import job, log
from arcterm.console.rows import Rows
from arcterm.console.screens.actions import Acting
from arcterm.console.screens.polling import Polling
from arcterm.console.view import View
from arcterm.runs.reader import Reader
from arcterm.runs.state import read_state
from arcterm.runs.store import Run

_LIVE_SECONDS, _IDLE_SECONDS, _AGAIN_SECONDS = 0.25, 2.0, 0.001


class Account(Rows):
    """The report; the wheel scrolls it."""

    def on_mouse_scroll_down(self) -> None:
        """Three lines on."""
        self.call_later(self.screen.run_action, "scroll(3)")

    def on_mouse_scroll_up(self) -> None:
        """Three lines back."""
        self.call_later(self.screen.run_action, "scroll(-3)")


class JobScreen(Acting, Polling):
    """Progress, report and output of a job; it only reads, and asks."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("S", "stop", "stop", tooltip="stop the job; what is done is kept"),
        Binding("R", "resume", "resume", tooltip="go on where it was stopped"),
        Binding("f", "fork", "fork", tooltip="another job with this one's settings in the form"),
        Binding("v", "pictures", "pictures", tooltip="look at what it made, or else at what it read"),
        Binding("o", "output", "output", tooltip="the log over the whole screen, and back"),
        Binding("j,down", "scroll(1)", "down", tooltip="the next lines of the report; also the wheel"),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("ctrl+d,pagedown,space", "page(1)", "page down", show=False),
        Binding("ctrl+u,pageup", "page(-1)", "page up", show=False),
        Binding("g,home", "scroll(-1000000)", "first line", show=False),
        Binding("G,end", "scroll(1000000)", "last line", show=False),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.view = View(run=run, record=run.record, state=read_state(run))
        self._reader = Reader(run)
        self._top = 0

    def compose(self) -> ComposeResult:
        """What it is made of."""
        view = self.view
        yield Rows(lambda w, h: job.status(view, w, h), id="status")
        yield Rows(lambda w, h: job.progress(view, w, h), id="progress")
        yield Rows(lambda w, h: job.notice(view, w, h), id="notice")
        yield Rows(lambda w, h: job.command(view, w, h), id="command")
        yield Account(lambda w, h: job.account(view, w, h, self._top), id="account")
        yield Rows(lambda w, h: log.log(view, w, h), id="log")
        yield KeyLine()

    def on_mount(self) -> None:
        """Begin to look."""
        self.look()

    def read(self) -> Looked:
        """Look at the job."""
        return Looked(self._reader.look())

    def on_looked(self, message: Looked) -> None:
        """Take it in, show it, and look again later: at once while there is more to read."""
        before = self.view.word
        changed = self.view.take(message.look)
        if self.view.loading:
            self.look_in(_AGAIN_SECONDS)
        else:
            self.look_in(_LIVE_SECONDS if self.view.live else _IDLE_SECONDS)
        if self.view.word != before:
            self.refresh_bindings()
        if changed:
            self._repaint()

    def on_look_failed(self, message: LookFailed) -> None:
        """Show why, and try again; go back where the run is gone."""
        if message.gone:
            self.leave_removed()
            return
        self.view.problem = message.problem
        self._repaint()
        self.look_in(_IDLE_SECONDS)

    def target(self) -> Run:
        """The job that actions act on."""
        return self.view.run

    def steps_made(self) -> int:
        """A job has no steps."""
        return 0

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer what the job's state allows."""
        return self.may(action, self.view.state.state)

    def action_scroll(self, lines: int) -> None:
        """Move in the report."""
        place = self.query_one("#account", Rows)
        last = job.last_top(self.view, place.size.width, place.size.height)
        self._top = min(max(0, self._top + lines), last)
        place.repaint()

    def action_page(self, pages: int) -> None:
        """Move by what fits on the screen."""
        self.action_scroll(pages * max(1, self.query_one("#account").size.height - 2))

    def action_fork(self) -> None:
        """Open the form with the job's settings."""
        self.console_app.open_again(self.view.record.config)

    def action_pictures(self) -> None:
        """Look at what it made, or else at what it read."""
        paths, report = self.view.record.config.paths, self.view.report
        made = report.result if report else ""
        if made or paths:
            self.console_app.open_pictures(made or paths[0])

    def action_output(self) -> None:
        """Enlarge the log, or put it back."""
        self.toggle_class("-output")
        self.call_after_refresh(self._repaint)

    def action_back(self) -> None:
        """Put an enlarged log back; then leave, and say that the job goes on."""
        if self.has_class("-output"):
            self.remove_class("-output")
            self.call_after_refresh(self._repaint)
            return
        owner = self.view.owner
        if self.view.live and owner:
            self.app.notify(f"the job goes on (pid {owner.pid})", timeout=3, markup=False)
        super().action_back()

    def _repaint(self) -> None:
        view = self.view
        self.set_class(not (view.live or view.log or view.summary.messages), "-silent")
        for rows in self.query(Rows):
            rows.repaint()
