"""The line of keys at the bottom, made from the bindings: help first, whole items only."""

from __future__ import annotations

from textual import events
from textual.binding import Binding
from textual.screen import Screen

from arcterm.console.rows import Rows
from arcterm.show.lines import Line

_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "escape": "esc",
    "left_square_bracket": "[",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "pageup": "pgup",
    "pagedown": "pgdn",
}

HELP = Binding(
    "question_mark", "app.help", "help", key_display="?", priority=True, tooltip="this list of keys"
)
_TEXTUALS = ("app.focus_next", "app.focus_previous", "screen.copy_text", "quit", "app.command_palette")
"""Actions that every screen has from Textual: last in a list."""


def name_of(binding: Binding) -> str:
    """The key as printed on a keyboard: ``?``, ``^g``."""
    if binding.key_display:
        return binding.key_display
    return _NAMES.get(binding.key, binding.key).replace("ctrl+", "^")


def described(screen: Screen[object]) -> list[Binding]:
    """The bindings that are active on `screen`, help first; one for each action."""
    seen = {HELP.action: HELP}  # Textual leaves it out while a field would take the character
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.description and active.enabled and not binding.system:
            seen.setdefault(binding.action, binding)
    order = {"app.help": 0, "back": 2, **dict.fromkeys(_TEXTUALS, 3)}
    return sorted(seen.values(), key=lambda b: order.get(b.action, 1))


class KeyLine(Rows):
    """One line; a click on an item is its key."""

    def __init__(self) -> None:
        super().__init__(self._draw, classes="keys")
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Redraw when the active bindings change."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.repaint())

    def on_click(self, event: events.Click) -> None:
        for start, end, action in self._places:
            if start <= event.x < end:
                self.call_later(self.screen.run_action, action)

    def _draw(self, width: int, height: int) -> list[Line]:
        line: Line = [(" ", "")]
        x = 1
        self._places = []
        shown = [b for b in described(self.screen) if b.show]
        last = shown[-1:] if shown and shown[-1].action == "back" else []
        reserved = sum(len(name_of(b)) + len(b.description) + 3 for b in last)
        for binding in [*(b for b in shown if b not in last), *last]:
            key, words = name_of(binding), binding.description
            size = len(key) + 1 + len(words)
            if x + size + (0 if binding in last else reserved) > width:
                continue
            line += [(key, "key"), (f" {words}  ", "dim")]
            self._places.append((x, x + size, binding.action))
            x += size + 2
        return [line]
