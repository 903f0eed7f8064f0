"""Boxes over a screen: help, an error, the choice of how to stop, a confirmation, too small a terminal."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen

from arcterm.console.keys import name_of
from arcterm.console.lines import Line, pad, wrap
from arcterm.console.rows import Rows
from arcterm.console.screens.base import Box
from arcterm.errors import ArctermError

SMALLEST = (60, 16)
_WIDTH = 72
_INNER = _WIDTH - 7  # border, padding, scroll bar
_LEFT = 29


def _box(title: str, lines: list[Line], role: str = "head") -> Rows:
    """The lines under a title, as tall as they are."""
    rows = Rows(lambda width, height: [[(title, role)], [], *lines])
    rows.styles.height = len(lines) + 2
    return rows


class Help(Box):
    """Every key of the screen below, from its bindings."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "cancel", "close")]

    def __init__(self, bindings: list[Binding]) -> None:
        super().__init__()
        self._bindings_shown = bindings

    def compose(self) -> ComposeResult:
        """What it is made of."""
        lines: list[Line] = []
        for binding in self._bindings_shown:
            first, *rest = wrap(binding.tooltip, _INNER - _LEFT) or [""]
            name = pad(name_of(binding), 11)
            lines.append([(name, "key"), (pad(binding.description, _LEFT - 11), ""), (first, "dim")])
            lines += [[(" " * _LEFT + row, "dim")] for row in rest]
        lines += [[], [("esc closes this", "dim")]]
        with VerticalScroll(classes="box"):
            yield _box("keys", lines)


class Problem(Box):
    """An error in words, and the next step."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "cancel", "close")]

    def __init__(self, error: ArctermError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        """What it is made of."""
        lines: list[Line] = [[(row, "")] for row in wrap(self._error.message, _INNER)]
        if self._error.hint:
            lines += [[], *([(row, "accent")] for row in wrap(f"→ {self._error.hint}", _INNER))]
        lines += [[], [("enter or esc closes this", "dim")]]
        with Vertical(classes="box"):
            yield _box("that can't be done", lines, "bad")


class StopBox(Box):
    """How to stop a run; answers ``softly`` or ``now``, whose consequences are told."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1,enter", "choose('softly')", "so that nothing is lost"),
        Binding("2", "choose('now')", "at once"),
    ]

    def __init__(self, name: str, softly: str, now: str) -> None:
        super().__init__()
        self._title = f"stop {name}?"
        self._lines: list[Line] = [
            [("1", "key"), (f"  {softly}", "")],
            [("2", "key"), (f"  {now}", "")],
            [],
            [("esc", "key"), (" lets it run. What is stopped can be resumed with R.", "dim")],
        ]

    def compose(self) -> ComposeResult:
        """What it is made of."""
        with Vertical(classes="box"):
            yield _box(self._title, self._lines)

    def action_choose(self, how: str) -> None:
        """Answer."""
        self.dismiss(how)


class Confirm(Box):
    """A question that only ``y`` answers with yes (True)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes"),
        Binding("n", "cancel", "no"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        """What it is made of."""
        lines: list[Line] = [[(row, "")] for row in wrap(self._text, _INNER)]
        with Vertical(classes="box"):
            yield _box(
                self._title, [*lines, [], [("y", "key"), (" yes   ", ""), ("n", "key"), (" no", "")]], "warn"
            )

    def action_yes(self) -> None:
        """Answer yes."""
        self.dismiss(True)


class TooSmall(ModalScreen[None]):
    """Covers everything, and takes all keys, while the terminal is too small to act in safely."""

    def compose(self) -> ComposeResult:
        """What it is made of."""
        yield Rows(self._draw, id="too-small")

    def on_resize(self, event: events.Resize) -> None:
        """Say the new size."""
        self.query_one(Rows).repaint()

    def _draw(self, width: int, height: int) -> list[Line]:
        need = f"need {SMALLEST[0]}×{SMALLEST[1]}, have {width}×{height}"
        text = ["terminal too small", need, "enlarge it; runs go on"]
        return [*([] for _ in range((height - 3) // 2)), *([(row.center(width), "warn")] for row in text)]
