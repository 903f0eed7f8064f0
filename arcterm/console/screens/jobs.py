"""The jobs on data: choose one, and its form opens."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from arcterm.console.keys import KeyLine
from arcterm.console.panels import joblist
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.jobs import TASKS, Place, Task

SHOW = Task(
    name="show",
    summary="Look at a data set: its people and the pairs of its verification sets, as pictures.",
    places=(Place(name="src", help="A pack, a folder of people, a .lst, a .bin, or a data set's name."),),
    run="",
)
"""Not a job: it is a screen."""


class TaskTable(Rows):
    """The list; a click opens the row under the pointer."""

    def on_click(self, event: events.Click) -> None:
        """Choose the row and open it."""
        screen = self.screen
        if isinstance(screen, TaskList) and 1 <= event.y <= len(screen.choices):
            screen.action_move(event.y - 1 - screen.cursor)
            screen.action_open()


class TaskList(ConsoleScreen):
    """Everything that can be done with data."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open", tooltip="fill in the form of this job"),
        Binding("j,down", "move(1)", "next", show=False),
        Binding("k,up", "move(-1)", "previous", show=False),
        Binding("g,home", "move(-1000)", "first", show=False),
        Binding("G,end", "move(1000)", "last", show=False),
    ]

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.choices: list[Task] = [*TASKS.values(), SHOW]
        self.cursor = 0

    @property
    def chosen(self) -> Task:
        """The job under the cursor."""
        return self.choices[self.cursor]

    def compose(self) -> ComposeResult:
        """What it is made of."""
        yield Rows(lambda w, h: joblist.title(w), id="title")
        yield TaskTable(lambda w, h: joblist.table(self.choices, self.cursor, w, h), id="tasks")
        yield Rows(lambda w, h: joblist.detail(self.chosen, w, h), id="about")
        yield KeyLine()

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self.cursor = min(max(self.cursor + rows, 0), len(self.choices) - 1)
        for drawn in self.query(Rows):
            drawn.repaint()

    def action_open(self) -> None:
        """Open the form, or the pictures."""
        if self.chosen is SHOW:
            self.console_app.open_pictures()
        else:
            self.console_app.open_task(self.chosen.name)
