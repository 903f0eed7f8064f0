"""Boxes over a screen: an error, the choice of how to stop, a confirmation, too small a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input

from arcterm.console.rows import Rows
from arcterm.console.screens.base import Box
from arcterm.errors import ArctermError
from arcterm.show.lines import Line, pad, shorten, width_of, wrap
from arcterm.text import clean

SMALLEST = (60, 16)
_WIDTH = 72


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

    def choices(self, rows: Sequence[tuple[str, str, str]]) -> list[Line]:
        """A key, a name and what it does for each, wrapped beside the longest name."""
        room = self.text_width() - 3
        name = min(max(width_of([(title, "")]) for _, title, _ in rows) + 2, room // 2)
        lines: list[Line] = []
        for key, title, about in rows:
            first, *rest = wrap(about, room - name)
            lines.append([(f"{key}  ", "key"), (pad(title, name - 1) + " ", "bold"), (first, "dim")])
            lines += [[(" " * (3 + name) + row, "dim")] for row in rest]
        return lines


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


class PickRows(Rows):
    """The choices; a click takes one."""

    def on_click(self, event: events.Click) -> None:
        if isinstance(self.screen, Pick):
            self.screen.take(event.y - 2)


class Pick(TextBox):
    """One of several: by its number, or by the arrows and enter; answers with its place."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "take it"),
        Binding("down,j", "move(1)", "next", show=False),
        Binding("up,k", "move(-1)", "previous", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[tuple[str, str]], cursor: int = 0) -> None:
        super().__init__()
        self._title, self._choices, self._cursor = title, choices, cursor

    def compose(self) -> ComposeResult:
        rows = PickRows(self._draw, id="choices")
        rows.styles.height = len(self._choices) + 4
        with Vertical(classes="box"):
            yield rows

    def on_key(self, event: events.Key) -> None:
        if event.character and event.character in "123456789":
            event.stop()
            self.take(int(event.character) - 1)

    def action_move(self, rows: int) -> None:
        self._cursor = (self._cursor + rows) % len(self._choices)
        self.query_one(PickRows).repaint()

    def action_take(self) -> None:
        self.take(self._cursor)

    def take(self, place: int) -> None:
        if 0 <= place < len(self._choices):
            self.dismiss(place)

    def _draw(self, width: int, height: int) -> list[Line]:
        names = min(26, max(len(name) for name, _ in self._choices))
        lines: list[Line] = [[(self._title, "head")], []]
        for place, (name, detail) in enumerate(self._choices):
            sign, role = ("▸", "cursor") if place == self._cursor else (" ", "")
            end = shorten(clean(detail), max(0, width - names - 7))
            lines.append(
                [(f"{sign} ", role), (f"{place + 1} ", "key"), (pad(name, names + 2), role), (end, "dim")]
            )
        return [*lines, [], [("enter takes it, esc closes this", "dim")]]


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
        self.set_focus(self.query_one(Input))

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
