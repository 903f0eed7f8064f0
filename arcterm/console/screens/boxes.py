"""Boxes over a screen: help, an error, the choice of how to stop, a confirmation, too small a terminal."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input

from arcterm.console.keys import name_of
from arcterm.console.rows import Rows
from arcterm.console.screens.base import Box
from arcterm.errors import ArctermError
from arcterm.show.lines import Line, pad, wrap
from arcterm.text import clean

SMALLEST = (60, 16)
_WIDTH = 72
_LEFT = 29


class TextBox(Box):
    """A box of text: a title over lines wrapped to its width."""

    def text_width(self) -> int:
        """Cells of a line: the box without border, padding and scroll bar."""
        return max(20, min(_WIDTH, self.app.size.width * 95 // 100) - 7)

    def box(self, title: str, lines: list[Line], role: str = "head") -> Rows:
        """A title over lines, as tall as they are."""
        titles: list[Line] = [[(row, role)] for row in wrap(clean(title), self.text_width())]
        rows = Rows(lambda width, height: [*titles, [], *lines])
        rows.styles.height = len(titles) + 1 + len(lines)
        return rows

    def wrapped(self, text: str, role: str = "") -> list[Line]:
        """`text` in lines of one role."""
        return [[(row, role)] for row in wrap("\n".join(map(clean, text.splitlines())), self.text_width())]


class Help(TextBox):
    """Every key of the screen below, from its bindings."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "cancel", "close")]

    def __init__(self, bindings: list[Binding]) -> None:
        super().__init__()
        self._bindings_shown = bindings

    def compose(self) -> ComposeResult:
        lines: list[Line] = []
        for binding in self._bindings_shown:
            first, *rest = wrap(binding.tooltip, self.text_width() - _LEFT) or [""]
            name = pad(name_of(binding), 11)
            lines.append([(name, "key"), (pad(binding.description, _LEFT - 11), ""), (first, "dim")])
            lines += [[(" " * _LEFT + row, "dim")] for row in rest]
        lines += [[], [("esc closes this", "dim")]]
        with VerticalScroll(classes="box"):
            yield self.box("keys", lines)


class Problem(TextBox):
    """An error in words, and the next step."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "cancel", "close")]

    def __init__(self, error: ArctermError) -> None:
        super().__init__()
        self._error = error

    def compose(self) -> ComposeResult:
        lines = self.wrapped(self._error.message)
        if self._error.hint:
            lines += [[], *self.wrapped(f"→ {self._error.hint}", "accent")]
        lines += [[], [("enter or esc closes this", "dim")]]
        with VerticalScroll(classes="box"):
            yield self.box("that can't be done", lines, "bad")


class StopBox(TextBox):
    """Asks how to stop a run, with the consequences; answers ``softly`` or ``now``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1,enter", "choose('softly')", "so that nothing is lost"),
        Binding("2", "choose('now')", "at once"),
    ]

    def __init__(self, name: str, softly: str, now: str) -> None:
        super().__init__()
        self._title = f"stop {name}?"
        self._choices = {"1": softly, "2": now}

    def compose(self) -> ComposeResult:
        lines: list[Line] = []
        for key, text in self._choices.items():
            first, *rest = wrap(text, self.text_width() - 3)
            lines += [[(key, "key"), (f"  {first}", "")], *([(f"   {row}", "")] for row in rest)]
        lines += [[], [("esc", "key"), (" lets it run. A stopped run can be resumed with R.", "dim")]]
        with Vertical(classes="box"):
            yield self.box(self._title, lines)

    def action_choose(self, how: str) -> None:
        self.dismiss(how)


class Confirm(TextBox):
    """A question that only ``y`` answers with yes (True)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes"),
        Binding("n", "cancel", "no"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        keys: Line = [("y", "key"), (" yes   ", ""), ("n", "key"), (" no", "")]
        with Vertical(classes="box"):
            yield self.box(self._title, [*self.wrapped(self._text), [], keys], "warn")

    def action_yes(self) -> None:
        self.dismiss(True)


class Ask(TextBox):
    """A line to type; enter answers with it."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def compose(self) -> ComposeResult:
        keys: Line = [("enter", "key"), (" keep   ", ""), ("esc", "key"), (" leave it", "")]
        with Vertical(classes="box"):
            yield self.box(self._title, self.wrapped(self._text))
            yield Input(compact=True)
            yield self.box("", [keys])

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip())


class TooSmall(ModalScreen[None]):
    """Covers everything, and takes all keys, while the terminal is too small to act in safely."""

    def compose(self) -> ComposeResult:
        yield Rows(self._draw, id="too-small")

    def on_resize(self, event: events.Resize) -> None:
        self.query_one(Rows).repaint()

    def _draw(self, width: int, height: int) -> list[Line]:
        need = f"need {SMALLEST[0]}×{SMALLEST[1]}, have {width}×{height}"
        text = ["terminal too small", need, "enlarge it; runs go on"]
        return [*([] for _ in range((height - 3) // 2)), *([(row.center(width), "warn")] for row in text)]
