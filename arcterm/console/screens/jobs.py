"""The jobs: choose one, and its form opens."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from arcterm_registry import JobPath, JobSpec
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from arcterm.console.habits.cursor import CursorKeys
from arcterm.console.keys import KeyLine
from arcterm.console.panels import joblist
from arcterm.console.panels.listing import first_row
from arcterm.console.rows import Rows
from arcterm.jobs import offered

SHOW = JobSpec(
    factory="",
    group="data",
    summary="Look at a data set: its people and the pairs of its verification sets, as pictures.",
    paths=(JobPath(name="src", help="A pack, a folder of people, a .lst, a .bin, or a data set's name."),),
)
"""Not a job: it is a screen."""


class JobTable(Rows):
    """The list; a click opens the row under the pointer."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if not isinstance(screen, JobList):
            return
        row = event.y - 1 + first_row(len(screen.choices), screen.cursor, self.size.height)
        if event.y and row < len(screen.choices):
            screen.action_move(row - screen.cursor)
            screen.action_open()


class JobList(CursorKeys):
    """Lists the jobs, and the viewer of data sets."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", tooltip="fill in the form of this job"),
    ]

    @dataclass
    class Found(Message):
        """The installed jobs are known."""

        jobs: dict[str, JobSpec]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.choices: list[tuple[str, JobSpec]] = []
        self.cursor = 0

    @property
    def chosen(self) -> tuple[str, JobSpec] | None:
        """The job under the cursor; None while the installed ones are looked for."""
        return self.choices[self.cursor] if self.choices else None

    def compose(self) -> ComposeResult:
        yield Rows(lambda w, h: joblist.title(w), id="title")
        yield JobTable(lambda w, h: joblist.table(self.choices, self.cursor, w, h), id="jobs")
        yield Rows(lambda w, h: joblist.detail(self.chosen[1], w, h) if self.chosen else [], id="about")
        yield KeyLine()

    def on_mount(self) -> None:
        """Look for jobs; that imports other packages' code, so not in the UI's thread."""
        self.run_worker(lambda: self.post_message(self.Found(offered())), thread=True, exit_on_error=False)

    def on_job_list_found(self, message: Found) -> None:
        self.choices = [*message.jobs.items(), ("show", SHOW)]
        self.action_move(0)

    def action_move(self, rows: int) -> None:
        self.cursor = max(0, min(self.cursor + rows, len(self.choices) - 1))
        for drawn in self.query(Rows):
            drawn.repaint()

    def action_open(self) -> None:
        if self.chosen and self.chosen[1] is SHOW:
            self.console_app.open_pictures()
        elif self.chosen:
            self.console_app.open_job(self.chosen[0])
