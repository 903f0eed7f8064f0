"""The bindings of a screen are the one table of its keys: their names, help, and the line at the bottom."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from textual import events
from textual.binding import Binding, BindingType
from textual.screen import Screen

from arcterm.console.rows import Rows
from arcterm.show.lines import Line

_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "plus": "+",
    "equals_sign": "=",
    "comma": ",",
    "full_stop": ".",
    "asterisk": "*",
    "number_sign": "#",
    "left_parenthesis": "(",
    "right_parenthesis": ")",
    "right_square_bracket": "]",
    "minus": "-",
    "escape": "esc",
    "left_square_bracket": "[",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "pageup": "pgup",
    "pagedown": "pgdn",
}
_WRITTEN = {name: key for key, name in _NAMES.items()}

HELP = Binding("question_mark", "app.help", "help", id="help", priority=True, tooltip="this list of keys")
_TEXTUALS = ("app.focus_next", "app.focus_previous", "screen.copy_text", "quit")
"""Actions that every screen has from Textual: last in a list."""
_IN_OUR_WORDS = {
    "Focus Next": "next field",
    "Focus Previous": "field before",
    "Copy selected text": "copy what is selected",
    "Dismiss menu": "close",
    "Quit": "leave the console",
    "Show menu": "choose",
}
"""What Textual calls the actions of its widgets."""


def named(bindings: Iterable[BindingType]) -> list[BindingType]:
    """The bindings, each with its words as the name by which ``console.toml`` gives it another key.

    Esc is left without a name: it stays the way out of everything.
    """
    found: list[BindingType] = []
    for each in bindings:
        if not isinstance(each, Binding):
            found.append(each)
            continue
        keys = each.key.split(",")
        others = ",".join(key for key in keys if key != "escape")
        parts = [replace(each, key=others, id=each.id or _slug(each.description))] if others else []
        if "escape" in keys:
            parts.insert(0 if keys[0] == "escape" else 1, replace(each, key="escape", id=None))
        found += parts
    return found


def _slug(words: str) -> str | None:
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-") or None


def name_of(binding: Binding) -> str:
    """The key as printed on a keyboard: ``?``, ``^g``."""
    if binding.key_display:
        return binding.key_display
    return _NAMES.get(binding.key, binding.key).replace("ctrl+", "^")


def key_of(text: str) -> str:
    """The key that `name_of` prints so, as Textual calls it."""
    text = text.strip()
    if len(text) == 1:
        return text
    held, plus, last = text.replace("^", "ctrl+").replace("⇧", "shift+").rpartition("+")
    return f"{held}{plus}{_WRITTEN.get(last, last)}"


def described(screen: Screen[object]) -> list[Binding]:
    """The bindings that are active on `screen`, help first; one for each action."""
    if not screen.app.screen_stack:  # the app takes its screens down, while messages still come
        return []
    seen: dict[str, Binding] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.description and active.enabled and not binding.system and not refused(screen, binding):
            words = _IN_OUR_WORDS.get(binding.description, binding.description)
            seen.setdefault(binding.action, replace(binding, description=words))
    order = {"app.help": 0, "app.demo": 1, "back": 3, **dict.fromkeys(_TEXTUALS, 4)}
    seen.setdefault(HELP.action, HELP)  # Textual leaves it out while a field would take the character
    everywhere = (action for action in seen if action.startswith("app."))
    order = {**dict.fromkeys(everywhere, 2), **order}
    places = _declared(type(screen)) if getattr(screen.app, "remapped", False) else {}
    return sorted(seen.values(), key=lambda b: (order.get(b.action, 1), places.get(b.action, 0)))


def _declared(screen: type) -> dict[str, int]:
    """The place of each action in the tables of a screen, which Textual forgets when keys are remapped."""
    tables = (base.__dict__.get("BINDINGS", ()) for base in reversed(screen.__mro__))
    return {
        each.action: i
        for i, each in enumerate(b for table in tables for b in table)
        if isinstance(each, Binding)
    }


def refused(screen: Screen[object], binding: Binding) -> bool:
    """Whether the key would change something in a console that only watches."""
    changes: frozenset[str] = getattr(screen, "changes", frozenset())
    return bool(getattr(screen.app, "readonly", False)) and binding.action.partition("(")[0] in changes


class KeyLine(Rows):
    """One line; a click on an item is its key."""

    def __init__(self) -> None:
        super().__init__(self._draw, classes="keys")
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        """Redraw when the active bindings change, unless a box is about to cover them."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._update())

    def _update(self) -> None:
        if self.app.screen is self.screen:
            self.repaint()

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
