"""A list with a cursor: the keys and the wheel that move it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from arcterm.console.rows import Rows
from arcterm.console.screens.base import ConsoleScreen


class CursorRows(Rows):
    """The rows of the list; the wheel moves the cursor."""

    def on_mouse_scroll_down(self) -> None:
        self.call_later(self.screen.run_action, "move(1)")

    def on_mouse_scroll_up(self) -> None:
        self.call_later(self.screen.run_action, "move(-1)")


class CursorKeys(ConsoleScreen):
    """Keys that move the cursor; the screen has the action ``move(rows)``, which stops at the ends."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "next", show=False),
        Binding("k,up", "move(-1)", "previous", show=False),
        Binding("g,home", "move(-1000000)", "first", show=False),
        Binding("G,end", "move(1000000)", "last", show=False),
    ]
