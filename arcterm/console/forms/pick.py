"""Boxes in which one chooses: from a list that what is typed narrows, and among GPUs with free memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from arcterm import gpus
from arcterm.console.panels.listing import first_row
from arcterm.console.rows import Rows
from arcterm.console.screens.boxes import TextBox
from arcterm.launch.estimate import room
from arcterm.launch.estimate.room import GpuRoom
from arcterm.launch.estimate.verdict import gib
from arcterm.ranges import parse_ranges
from arcterm.show.lines import Line, bar, pad, shorten
from arcterm.text import clean

_SECONDS = 1.0
_GPU_ROWS = 3


class Offer(NamedTuple):
    """Something to choose: its name, what is said of it, and what choosing it answers."""

    name: str
    words: str
    value: Any


class PickBox(TextBox):
    """A list and a line to narrow it by words; enter answers with the value of the chosen one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "close"),
        Binding("down", "move(1)", "next", show=False),
        Binding("up", "move(-1)", "previous", show=False),
        Binding("pagedown", "move(10)", "ten down", show=False),
        Binding("pageup", "move(-10)", "ten up", show=False),
    ]

    def __init__(self, title: str, offers: Sequence[Offer]) -> None:
        super().__init__()
        self._title, self._offers = title, list(offers)
        self._cursor = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="box -pick"):
            yield self.box(self._title, [])
            yield Input(placeholder="words of it", compact=True)
            yield Rows(self._draw, id="offers")
            yield Rows(lambda w, h: [[("enter", "key"), (" take   ", ""), ("esc", "key"), (" leave it", "")]])

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))

    @property
    def offered(self) -> list[Offer]:
        """What has all the words that are typed."""
        words = self.query_one(Input).value.lower().split()
        found = [o for o in self._offers if all(w in f"{o.name} {o.words}".lower() for w in words)]
        # a name is rather meant than a mention
        lead = " ".join(words)
        return sorted(found, key=lambda o: (not o.name.lower().startswith(lead), lead not in o.name.lower()))

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self._cursor = 0
        self.query_one("#offers", Rows).repaint()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        if offered := self.offered:
            self.dismiss(offered[self._cursor].value)

    def action_move(self, rows: int) -> None:
        self._cursor = max(0, min(self._cursor + rows, len(self.offered) - 1))
        self.query_one("#offers", Rows).repaint()

    def _draw(self, width: int, height: int) -> list[Line]:
        offered = self.offered
        if not offered:
            return [[("none has these words", "dim")]]
        name = min(30, max(cell_len(clean(offer.name)) for offer in offered))
        first = first_row(len(offered), self._cursor, height + 1)
        lines: list[Line] = []
        for index, offer in enumerate(offered[first : first + height], first):
            at = index == self._cursor
            words = shorten(clean(offer.words), width - name - 4)
            shown = (pad(clean(offer.name), name), "cursor" if at else "bold")
            lines.append([("▸ " if at else "  ", "cursor" if at else ""), shown, (f"  {words}", "dim")])
        return lines


class GpuBox(TextBox):
    """The GPUs with their free memory and who uses them; answers with the text of the field ``gpus``."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "take or leave"),
        Binding("a", "all", "all"),
        Binding("c", "cpu", "the CPU"),
        Binding("enter", "take", "take these"),
        Binding("j,down", "move(1)", "next", show=False),
        Binding("k,up", "move(-1)", "previous", show=False),
    ]

    @dataclass
    class Seen(Message):
        """The GPUs were looked at; `why` says why there are none, or not all."""

        names: dict[int, str]
        rooms: dict[int, GpuRoom]
        why: str

    def __init__(self, text: str, needed: int | None) -> None:
        super().__init__()
        self._text, self._needed = text.strip(), needed
        self._seen: GpuBox.Seen | None = None
        self._taken: set[int] | None = None
        self._cursor = 0

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield self.box("GPUs for the training", [])
            yield Rows(self._draw, id="gpus")
            yield self.box("", [self._keys()])

    def on_mount(self) -> None:
        self.run_worker(self._look, thread=True, group="gpus", exit_on_error=False)

    def on_gpu_box_seen(self, message: Seen) -> None:
        """Show them, and look again a second later."""
        self._seen = message
        if self._taken is None:
            self._taken = _named(self._text, list(message.names))
        rows = self.query_one("#gpus", Rows)
        rows.styles.height = max(1, len(self._draw(rows.size.width or self.text_width(), 0)))
        rows.repaint()
        self.set_timer(_SECONDS, self.on_mount)

    def action_mark(self) -> None:
        if self._numbers:
            self._taken = (self._taken or set()) ^ {self._numbers[self._cursor]}
            self.query_one("#gpus", Rows).repaint()

    def action_all(self) -> None:
        self._taken = set(self._numbers)
        self.query_one("#gpus", Rows).repaint()

    def action_move(self, rows: int) -> None:
        self._cursor = max(0, min(self._cursor + rows, len(self._numbers) - 1))
        self.query_one("#gpus", Rows).repaint()

    def action_cpu(self) -> None:
        self.dismiss("none")

    def action_take(self) -> None:
        """Answer with the marked ones; nothing is to be said where that is all of them."""
        taken = sorted(self._taken or ())
        every = taken == self._numbers
        self.dismiss("" if every or not self._numbers else ",".join(map(str, taken)) or "none")

    @property
    def _numbers(self) -> list[int]:
        return list(self._seen.names) if self._seen else []

    def _look(self) -> None:
        devices, why = gpus.usable()
        names = {device.gpu.index: device.gpu.name for device in devices}
        rooms = {each.number: each for each in room.gpu_memory(list(names))}
        self.post_message(self.Seen(names, rooms, why or gpus.trouble()))

    def _keys(self) -> Line:
        keys = {"space": "mark", "a": "all", "c": "the CPU", "enter": "take these", "esc": "leave it"}
        return [piece for key, words in keys.items() for piece in ((key, "key"), (f" {words}   ", ""))]

    def _draw(self, width: int, height: int) -> list[Line]:
        seen = self._seen
        if seen is None:
            return [[("looking at the GPUs …", "dim")]]
        lines = [row for at in range(len(seen.names)) for row in self._gpu(at, width)]
        if not lines:
            lines = [[("no GPU can be used here: the training is on the CPU", "warn")]]
        return [*lines, *self.wrapped(seen.why, "dim")] if seen.why else lines

    def _gpu(self, index: int, width: int) -> list[Line]:
        """The row of a GPU, and of those who hold memory of it."""
        number, at = self._numbers[index], index == self._cursor
        found = self._seen.rooms.get(number) if self._seen else None
        mark = "[x]" if number in (self._taken or ()) else "[ ]"
        line: Line = [
            ("▸ " if at else "  ", "cursor" if at else ""),
            (f"{mark} GPU {number} ", "cursor" if at else "bold"),
            (pad(clean(self._seen.names[number] if self._seen else ""), 20), "dim"),
        ]
        if found is None:
            return [[*line, (" memory unknown", "dim")]]
        enough = self._needed is None or found.free >= self._needed
        line += bar(1 - found.free / found.total, 8, "accent" if enough else "bad")
        line.append((f" {gib(found.free)} of {gib(found.total)} GiB free", ""))
        line += [] if enough else [(", too little", "bad")]
        others = [[(f"          {shorten(clean(other), width - 10)}", "warn")] for other in found.others]
        return [line, *others[:_GPU_ROWS]]


def _named(text: str, there: Sequence[int]) -> set[int]:
    """The GPUs that the text of the field means; all for an empty one."""
    if not text:
        return set(there)
    try:
        return {number for part in parse_ranges(text) for number in part}
    except ValueError:
        return set()
