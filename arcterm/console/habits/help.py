"""Help: every key of the screen below, from its bindings, narrowed by typing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from arcterm.console.keys import name_of
from arcterm.console.rows import Rows
from arcterm.console.screens.boxes import TextBox
from arcterm.show.lines import Line, pad, spread, wrap

_LEFT = 33


class HelpRows(Rows):
    """The keys; the wheel scrolls them."""

    def on_mouse_scroll_down(self) -> None:
        self.call_later(self.screen.run_action, "scroll(3)")

    def on_mouse_scroll_up(self) -> None:
        self.call_later(self.screen.run_action, "scroll(-3)")


class Help(TextBox, inherit_bindings=False):
    """A list of keys; what is typed narrows it. It is one widget, so that it is there at once."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "close"),
        Binding("ctrl+c,super+c", "screen.copy_text", "copy", show=False),
        Binding("down", "scroll(1)", "down", show=False),
        Binding("up", "scroll(-1)", "up", show=False),
        Binding("pagedown", "scroll(10)", "page down", show=False),
        Binding("pageup", "scroll(-10)", "page up", show=False),
    ]

    def __init__(self, bindings: Sequence[Binding], tabs: Sequence[str]) -> None:
        super().__init__()
        self._entries = [_entry(binding) for binding in bindings if not binding.action.startswith("app.go(")]
        self._entries.insert(1, ("1…7", "screens", ", ".join(tabs)))
        self._search = ""
        self._top = 0

    def compose(self) -> ComposeResult:
        yield HelpRows(self._draw, id="keys")

    def on_key(self, event: events.Key) -> None:
        """Narrow the list by a character or widen it; ``q`` and ``?`` close it while nothing is typed."""
        if event.key == "backspace":
            self._narrow(self._search[:-1])
        elif event.is_printable and event.character:
            if not self._search and event.character in "q?":
                self.dismiss(None)
            else:
                self._narrow(self._search + event.character)
        else:
            return
        event.stop()

    def action_cancel(self) -> None:
        """First forget what was typed, then close."""
        if self._search:
            self._narrow("")
        else:
            super().action_cancel()

    def action_scroll(self, rows: int) -> None:
        self._top = max(0, self._top + rows)
        self.query_one(HelpRows).repaint()

    def _narrow(self, search: str) -> None:
        self._search, self._top = search, 0
        self.query_one(HelpRows).repaint()

    def _lines(self) -> list[Line]:
        words = self._search.lower().split()
        lines: list[Line] = []
        for name, description, tooltip in self._entries:
            if not all(word in f"{name} {description} {tooltip}".lower() for word in words):
                continue
            first, *rest = _wrapped(tooltip, max(20, self.app.size.width - _LEFT - 2))
            lines.append(
                [(" " + pad(name, 10), "key"), (pad(description, _LEFT - 12) + " ", ""), (first, "dim")]
            )
            lines += [[(" " * _LEFT + row, "dim")] for row in rest]
        return lines or [[("no key of this screen has these words", "dim")]]

    def _draw(self, width: int, height: int) -> list[Line]:
        lines, room = self._lines(), height - 3
        self._top = min(self._top, max(0, len(lines) - room))
        left = len(lines) - room - self._top
        search: Line = [(f"/{self._search}", "accent")] if self._search else [("type to search", "dim")]
        end = f"{left} more below" if left > 0 else ""
        return [
            spread([("keys", "head")], [search], width),
            [],
            *lines[self._top : self._top + room],
            spread([("esc closes this", "dim")], [(end, "dim")], width),
        ]


@lru_cache(maxsize=512)
def _wrapped(text: str, width: int) -> tuple[str, ...]:
    return tuple(wrap(text, width)) or ("",)


def _entry(binding: Binding) -> tuple[str, str, str]:
    return name_of(binding), binding.description, binding.tooltip
