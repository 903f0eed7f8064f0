"""All jobs: under way, waiting, over; the progress or the report of the one under the cursor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message

from arcterm.console.habits.cursor import CursorKeys, CursorRows
from arcterm.console.jobruns import JobRun, JobRuns
from arcterm.console.keys import KeyLine
from arcterm.console.messages import LookFailed
from arcterm.console.panels import job, jobtable, log
from arcterm.console.panels.listing import first_row
from arcterm.console.rows import Rows
from arcterm.console.screens.actions import RunActions
from arcterm.console.screens.boxes import Confirm
from arcterm.console.screens.jobs import JobList
from arcterm.console.screens.polling import Polling
from arcterm.console.view import View
from arcterm.errors import RunError
from arcterm.runs import store
from arcterm.runs.reader import Look, Reader
from arcterm.runs.state import is_locked
from arcterm.runs.store import Run
from arcterm.show.lines import Line

_LIVE_SECONDS, _IDLE_SECONDS = 0.5, 2.0
_ON_CHOSEN = ("open", "stop", "resume", "fork", "pictures", "delete")


class JobRows(CursorRows):
    """The jobs; a click chooses one, a second click opens it, the wheel moves the cursor."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, JobRunScreen) and event.y and screen.jobs:
            row = event.y - 1 + first_row(len(screen.jobs), screen.cursor, self.size.height)
            if row == screen.cursor:
                screen.action_open()
            else:
                screen.action_move(row - screen.cursor)


class JobRunScreen(CursorKeys, RunActions, Polling):
    """Every job of the root; live ones are read again twice a second."""

    changes = RunActions.changes | {"new", "fork"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", tooltip="its progress, report, curves and output"),
        Binding("n", "new", "new job", tooltip="choose what to do: pack, check, align, verify, score …"),
        Binding("S", "stop", "stop", tooltip="stop the job; what is done is kept"),
        Binding("R", "resume", "resume", tooltip="go on where it was stopped"),
        Binding("f", "fork", "again", tooltip="another job with this one's settings in the form"),
        Binding("v", "pictures", "pictures", tooltip="look at what it made, or else at what it read"),
        Binding("D", "delete", "delete", tooltip="remove the job with its report and logs; the data stays"),
        Binding("ctrl+d,pagedown", "scroll(8)", "report down", show=False),
        Binding("ctrl+u,pageup", "scroll(-8)", "report up", show=False),
    ]

    @dataclass
    class JobsRead(Message):
        """The jobs were read, and `look` at the run called `shown`."""

        jobs: list[JobRun]
        more: bool
        shown: str
        look: Look | None

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.jobs: list[JobRun] | None = None
        self.cursor = 0
        self._book = JobRuns(root)
        self._reader: Reader | None = None
        self._view: View | None = None
        self._top = 0
        self._problem = ""

    def compose(self) -> ComposeResult:
        yield Rows(lambda w, h: jobtable.title(self.jobs, self._problem, w), id="title")
        with Horizontal(id="split"):
            yield JobRows(self._draw_jobs, id="jobruns")
            with Vertical(id="onejob"):
                yield Rows(lambda w, h: jobtable.detail(c, w) if (c := self.chosen) else [], id="which")
                yield Rows(self._of_view(job.progress), id="progress")
                yield Rows(self._of_view(job.notice), id="notice")
                yield Rows(self._of_view(lambda v, w, h: job.account(v, w, h, self._top)), id="account")
                yield Rows(self._of_view(log.log), id="log")
        yield KeyLine()

    def on_screen_resume(self) -> None:
        """Read at once, also after being covered."""
        self.look()

    def read(self) -> Message:
        jobs, more = self._book.refresh()
        reader = self._reader
        if reader is None or reader.run.removed:
            return self.JobsRead(jobs, more, "", None)
        return self.JobsRead(jobs, more, reader.run.id, reader.look())

    def on_job_run_screen_jobs_read(self, message: JobsRead) -> None:
        """Show them with the cursor on the same job, and read again later."""
        before = self.chosen.run.id if self.chosen else ""
        self._problem, self.jobs = "", message.jobs
        places = [n for n, each in enumerate(self.jobs) if each.run.id == before]
        self.cursor = places[0] if places else max(0, min(self.cursor, len(self.jobs) - 1))
        if message.look is not None and self._view is not None and message.shown == self._view.run.id:
            self._view.take(message.look)
        fresh = self._follow()
        self._repaint()
        if not self.is_current:
            self.rest()
        elif message.more or fresh or (self._view is not None and self._view.loading):
            self.look_in(0)
        else:
            self.look_in(_LIVE_SECONDS if any(each.live for each in self.jobs) else _IDLE_SECONDS)

    def on_look_failed(self, message: LookFailed) -> None:
        """Show why, and try again; a job that is gone is not read any more."""
        self._problem = "" if message.gone else message.problem
        self.jobs = self.jobs or []
        self._reader = None if message.gone else self._reader
        self._repaint()
        self.look_in(_IDLE_SECONDS)

    @property
    def chosen(self) -> JobRun | None:
        """The job under the cursor."""
        return self.jobs[self.cursor] if self.jobs and self.cursor < len(self.jobs) else None

    def target(self) -> Run | None:
        return self.chosen.run if self.chosen else None

    def leave_removed(self) -> None:
        """Stay: the job goes from the list."""
        self.look()

    def refusal(self, action: str) -> str:
        """What the job under the cursor does not allow."""
        chosen = self.chosen
        if chosen is None:
            return "there is no job here; n begins one" if action in _ON_CHOSEN else ""
        if action == "delete":
            return "the job is live; S stops it first" if chosen.live else ""
        return self.refused(action, chosen.state.state, chosen.config)

    def action_move(self, rows: int) -> None:
        if self.jobs:
            self.cursor = max(0, min(self.cursor + rows, len(self.jobs) - 1))
            self._follow()
            self._repaint()
            self.look()

    def action_scroll(self, lines: int) -> None:
        place = self.query_one("#account", Rows)
        last = job.last_top(self._view, place.size.width, place.size.height) if self._view else 0
        self._top = min(max(0, self._top + lines), last)
        place.repaint()

    def action_open(self) -> None:
        if self.chosen is not None:
            self.console_app.open_run(self.chosen.run)

    def action_new(self) -> None:
        self.app.push_screen(JobList(self.root))

    def action_fork(self) -> None:
        if self.chosen is not None:
            self.console_app.open_again(self.chosen.config)

    def action_pictures(self) -> None:
        """Show the pictures of its result, or else of its first path."""
        if self.chosen is not None:
            report = self._view.report if self._view else None
            if source := (report.result if report else "") or self.chosen.config.pictured:
                self.console_app.open_pictures(source)

    def action_delete(self) -> None:
        """Remove a job that is over, after a question."""
        if self.chosen is None:
            return
        run, title = self.chosen.run, self.chosen.config.title

        def delete() -> Callable[[], None]:
            if is_locked(run):
                raise RunError(f"{title} is running", f"`arcterm stop {run.id}` first")
            store.remove(run)
            return self.look

        def answer(yes: object) -> None:
            if yes:
                self.act(delete)

        text = f"{run.path} with its report and logs is removed for ever; the data stays."
        self.app.push_screen(Confirm(f"delete {title}?", text), answer)

    def _follow(self) -> bool:
        """Follow the job under the cursor; whether it is another than before."""
        chosen = self.chosen
        if chosen is None:
            self._reader = self._view = None
            return False
        if self._view is not None and self._view.run.id == chosen.run.id:
            return False
        record = store.recorded(chosen.run)
        self._reader = self._view = None
        self._top = 0
        if record is not None:
            self._reader = Reader(chosen.run)
            self._view = View(run=chosen.run, record=record, state=chosen.state)
        return record is not None

    def _of_view(self, draw: Callable[[View, int, int], list[Line]]) -> Callable[[int, int], list[Line]]:
        return lambda width, height: draw(self._view, width, height) if self._view is not None else []

    def _repaint(self) -> None:
        quiet = self._view is None or not (self._view.live or self._view.log)
        self.set_class(quiet, "-silent")
        for rows in self.query(Rows):
            rows.repaint()
        self.refresh_bindings()

    def _draw_jobs(self, width: int, height: int) -> list[Line]:
        if self.jobs is None:
            return [[(" reading the jobs …", "dim")]]
        return jobtable.table(self.jobs, self.cursor, width, height) if self.jobs else jobtable.empty(width)
