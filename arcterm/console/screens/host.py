"""This host: cores, memory, GPUs, disks, network, and its processes with the runs that own them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from arcterm.console.habits.cursor import CursorKeys, CursorRows
from arcterm.console.keys import KeyLine
from arcterm.console.messages import LookFailed
from arcterm.console.rows import Rows
from arcterm.console.screens.polling import Polling
from arcterm.host.processes import Order
from arcterm.host.reader import HostReader
from arcterm.host.readings import Process, Reading
from arcterm.runs.store import Run
from arcterm.show import host
from arcterm.show.lines import Line

EVERY_SECONDS = 2.0
_FIRST_SECONDS = 0.5
_LARGEST_SHARE = 0.01
_LEAST_PROCESSES = 5
_ORDERS: tuple[Order, ...] = ("cpu", "memory", "gpu")


class ProcessRows(CursorRows):
    """The processes; a click chooses one, a second click opens its run, the wheel moves the cursor."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, HostScreen) and event.y >= host.PROCESS_HEAD:
            row = event.y - host.PROCESS_HEAD
            if row == screen.cursor:
                screen.action_open()
            else:
                screen.action_move(row - screen.cursor)


class HostScreen(CursorKeys, Polling):
    """Reads the host every few seconds, and less often where reading it takes long."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "open", "open run", tooltip="show the run that the process works for"),
        Binding("s", "order", "order", tooltip="processes by CPU, by memory, by GPU memory"),
        Binding("p,space", "pause", "pause", tooltip="keep this reading, and go on with the same key"),
    ]

    @dataclass
    class Read(Message):
        """The host was read, which took `spent` seconds of a core."""

        reading: Reading
        spent: float

    def __init__(self, root: Path, every: float = EVERY_SECONDS) -> None:
        super().__init__()
        self._every = every
        self._host = HostReader([root])
        self._history = host.HostHistory()
        self._reading: Reading | None = None
        self._paused = False
        self._problem = ""
        self.order: Order = "cpu"
        self.cursor = 0

    def compose(self) -> ComposeResult:
        yield Rows(self._draw_title, id="title")
        yield Rows(self._draw_machine, id="machine")
        yield ProcessRows(self._draw_processes, id="processes")
        yield KeyLine()

    def on_screen_resume(self) -> None:
        """Read at once, also after being covered."""
        self.look()

    def on_resize(self, event: events.Resize) -> None:
        self._show()

    def read(self) -> Message:
        began = time.thread_time()
        reading = self._host.read(rows=max(_LEAST_PROCESSES, self.size.height), order=self.order)
        return self.Read(reading, time.thread_time() - began)

    def on_host_screen_read(self, message: Read) -> None:
        """Show it, unless the screen is paused or covered."""
        first = self._reading is None
        self._problem = ""
        if not self._paused:
            self._reading = message.reading
            self._history.take(message.reading)
            self._show()
            self.refresh_bindings()
        if self.is_current:
            self.look_in(_FIRST_SECONDS if first else max(self._every, message.spent / _LARGEST_SHARE))
        else:
            self.rest()

    def on_look_failed(self, message: LookFailed) -> None:
        self._problem = message.problem
        self._show()
        self.look_in(self._every)

    @property
    def chosen(self) -> Process | None:
        """The process under the cursor."""
        found = self._reading.processes if self._reading else []
        return found[self.cursor] if self.cursor < len(found) else None

    def refusal(self, action: str) -> str:
        """What needs a run."""
        if action == "open" and not (self.chosen and self.chosen.run):
            return "no run owns this process"
        return ""

    def action_open(self) -> None:
        if self.chosen and self.chosen.run:
            self.console_app.open_run(Run(Path(self.chosen.run)))

    def action_order(self) -> None:
        """Go on to the next order, and read in it at once."""
        self.order = _ORDERS[(_ORDERS.index(self.order) + 1) % len(_ORDERS)]
        self.cursor = 0
        self.look()

    def action_pause(self) -> None:
        self._paused = not self._paused
        self._show()

    def action_move(self, rows: int) -> None:
        shown = self.query_one("#processes").size.height - host.PROCESS_HEAD
        last = min(shown, len(self._reading.processes) if self._reading else 0) - 1
        self.cursor = max(0, min(self.cursor + rows, last))
        self.query_one("#processes", Rows).repaint()
        self.refresh_bindings()

    def _show(self) -> None:
        """Give the machine the rows that it needs, the processes the rest."""
        if self._reading is not None:
            place = self.query_one("#machine", Rows)
            needed = len(self._draw_machine(self.size.width, self._room))
            if place.styles.height is None or place.styles.height.value != needed:
                place.styles.height = needed
        for rows in self.query(Rows):
            rows.repaint()

    @property
    def _room(self) -> int:
        return max(4, self.size.height - 3 - host.PROCESS_HEAD - _LEAST_PROCESSES)

    def _draw_title(self, width: int, height: int) -> list[Line]:
        if self._problem:
            return [[(f" the host can't be read: {self._problem}", "bad")]]
        if self._reading is None:
            return [[(" reading the host …", "dim")]]
        state = "paused" if self._paused else ""
        return host.title(self._reading, width, state)

    def _draw_machine(self, width: int, height: int) -> list[Line]:
        return host.machine(self._reading, self._history, width, height) if self._reading else []

    def _draw_processes(self, width: int, height: int) -> list[Line]:
        if self._reading is None:
            return []
        return host.processes(self._reading, self.order, self.cursor, width, height)
