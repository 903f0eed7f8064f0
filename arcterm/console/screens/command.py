"""A box in which a command of arcterm runs, in a process of its own: what it says, and how it ends."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message

from arcterm import environment
from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen
from arcterm.console.screens.boxes import TextBox
from arcterm.errors import ArctermError
from arcterm.show.lines import Line, wrap
from arcterm.text import clean

_MOST_LINES = 2000


def run_command(screen: ConsoleScreen, words: Sequence[str], hidden: Sequence[str] = ()) -> None:
    """Run ``arcterm WORDS…`` in a box over `screen`, unless it only watches; `hidden` words are not shown."""
    try:
        screen.console_app.require_actions()
    except ArctermError as error:
        screen.console_app.show_error(error)
    else:
        screen.app.push_screen(CommandBox(words, hidden))


class CommandBox(TextBox):
    """Runs ``arcterm WORDS…`` and shows its lines; closing it ends the process and those it started."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "cancel", "close"),
        Binding("j,down", "scroll(1)", "down", show=False),
        Binding("k,up", "scroll(-1)", "up", show=False),
        Binding("pagedown", "scroll(10)", "down", show=False),
        Binding("pageup", "scroll(-10)", "up", show=False),
    ]

    @dataclass
    class Said(Message):
        """The process has written lines."""

        lines: list[str]

    @dataclass
    class Ended(Message):
        """The process is over."""

        code: int

    def __init__(self, words: Sequence[str], hidden: Sequence[str] = ()) -> None:
        super().__init__()
        self._words, self._hidden = list(words), list(hidden)
        self._process: subprocess.Popen[str] | None = None
        self._began = time.monotonic()
        self.said: list[str] = []
        self.code: int | None = None

    def compose(self) -> ComposeResult:
        title = Rows(self._draw_title)
        title.styles.height = len(self._title())
        with Vertical(classes="box -command"):
            yield title
            with VerticalScroll(id="said", can_focus=False):
                yield Rows(self._draw_said, id="lines")
            yield Rows(self._draw_end, id="end")

    def on_mount(self) -> None:
        self.run_worker(self._work, thread=True, group="command", exit_on_error=False)
        self.set_interval(1, lambda: self.query_one("#end", Rows).repaint())

    def on_unmount(self) -> None:
        """End what still runs: nobody would see its end."""
        process = self._process
        if process is not None and self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def on_command_box_said(self, message: Said) -> None:
        """Show the newest lines."""
        self.said = [*self.said, *message.lines][-_MOST_LINES:]
        lines = self.query_one("#lines", Rows)
        lines.styles.height = max(1, len(self._draw_said(lines.size.width or self.text_width(), 0)))
        self.call_after_refresh(lambda: self.query_one("#said", VerticalScroll).scroll_end(animate=False))
        self.call_after_refresh(lines.repaint)

    def on_command_box_ended(self, message: Ended) -> None:
        self.code = message.code
        self.query_one("#end", Rows).repaint()

    def action_scroll(self, rows: int) -> None:
        self.query_one("#said", VerticalScroll).scroll_relative(y=rows, animate=False)

    def _work(self) -> None:
        self._process = process = subprocess.Popen(
            [sys.executable, "-m", "arcterm", *self._words, *self._hidden],
            env=environment.for_child(PYTHONUNBUFFERED="1"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None
        with process:
            for line in process.stdout:
                self.post_message(self.Said([line.rstrip("\n")]))
        self.post_message(self.Ended(process.returncode))

    def _title(self) -> list[str]:
        return wrap(clean(shlex.join(["arcterm", *self._words])), self.text_width())

    def _draw_title(self, width: int, height: int) -> list[Line]:
        return [[(row, "head")] for row in self._title()]

    def _draw_said(self, width: int, height: int) -> list[Line]:
        return [[(row, "")] for line in self.said for row in wrap(clean(line), width)]

    def _draw_end(self, width: int, height: int) -> list[Line]:
        if self.code is None:
            return [
                [(f"running, {time.monotonic() - self._began:.0f} s", "accent"), ("   esc ends it", "dim")]
            ]
        if self.code == 0:
            return [[("✓ all is well", "good"), ("   esc closes this", "dim")]]
        return [[(f"✗ ended with {self.code}", "bad"), ("   esc closes this", "dim")]]
