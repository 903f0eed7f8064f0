"""Base of the screens of many lines: reading them, moving among them, looking for a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input

from arcterm.console.keys import KeyLine
from arcterm.console.lines.textlist import TextLine, TextList
from arcterm.console.messages import LookFailed
from arcterm.console.rows import Rows
from arcterm.console.screens.base import FootBox
from arcterm.console.screens.boxes import TextBox
from arcterm.console.screens.polling import Polling
from arcterm.runs.reader import RunGoneError
from arcterm.runs.state import LIVE, State, read_state
from arcterm.runs.store import Run
from arcterm.show import words
from arcterm.show.lines import Line, spread

_LIVE_SECONDS, _IDLE_SECONDS = 0.5, 2.0


@dataclass
class LinesRead(Message):
    """Lines of `source` were read; `more` are there to be read at once, `anew`: those before are no more."""

    source: object
    lines: Sequence[TextLine]
    state: State
    more: bool = False
    anew: bool = False
    earlier: int = 0


class TextRows(Rows):
    """The lines; the wheel moves among them."""

    DEFAULT_CSS = "TextRows { height: 1fr; width: 1fr; }"

    def on_mouse_scroll_down(self) -> None:
        self.call_later(self.screen.run_action, "move(3)")

    def on_mouse_scroll_up(self) -> None:
        self.call_later(self.screen.run_action, "move(-3)")


class LineScreen(Polling):
    """Shows `list`, to which `fetch` adds what is new."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "filter", tooltip="only lines that hold a text; !text: that don't"),
        Binding(
            "n", "jump(1)", "next", tooltip="the next line that holds it, or that is marked, in its place"
        ),
        Binding("N", "jump(-1)", "previous", tooltip="the one before"),
        Binding("a", "near", "all lines", tooltip="see the lines beside those that match too, or not"),
        Binding("f", "follow", "follow", tooltip="stay at the newest line, or stand still"),
        Binding("j,down", "move(1)", "down", show=False, tooltip="the line below; also the wheel"),
        Binding("k,up", "move(-1)", "up", show=False),
        Binding("ctrl+d,pagedown,space", "page(1)", "page down", show=False),
        Binding("ctrl+u,pageup", "page(-1)", "page up", show=False),
        Binding("g,home", "move(-1000000000)", "first line", show=False),
        Binding("G,end", "move(1000000000)", "last line", show=False),
        Binding("h,left", "shift(-1)", "left", show=False, tooltip="the beginning of long lines"),
        Binding("l,right", "shift(1)", "right", show=False, tooltip="the rest of long lines"),
        Binding("enter", "open", "whole line", tooltip="the line at the cursor in full"),
    ]

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run
        self.list = TextList()
        self.state = read_state(run)
        self.problem = ""

    def compose(self) -> ComposeResult:
        yield Rows(self._status, id="status")
        yield Rows(lambda width, height: [self.list.title(self.name_of_lines(), width)], id="title")
        yield TextRows(self._paint, id="lines")
        yield KeyLine()

    def on_mount(self) -> None:
        self.look()

    def name_of_lines(self) -> str:
        """What the lines are."""
        raise NotImplementedError

    def fetch(self, live: bool) -> LinesRead:
        """Read what is new, in a thread; raises OSError."""
        raise NotImplementedError

    def current(self, source: object) -> bool:
        """Whether the lines that are shown come from `source`."""
        return True

    def nothing(self) -> str:
        """Why there are no lines."""
        return "reading …"

    def read(self) -> Message:
        if self.run.removed:
            raise RunGoneError.of(self.run)
        self.state = read_state(self.run)
        return self.fetch(self.state.state in LIVE)

    def on_lines_read(self, message: LinesRead) -> None:
        """Add the lines, and look again later: at once while there is more to read."""
        live = message.state.state in LIVE
        self.look_in(0 if message.more else _LIVE_SECONDS if live else _IDLE_SECONDS)
        if not self.current(message.source):
            return
        self.problem = ""
        if message.anew:
            self.list.clear()
        self.list.total += message.earlier
        self.list.append(message.lines)
        self.repaint()

    def on_look_failed(self, message: LookFailed) -> None:
        """Show why, and try again."""
        self.problem = message.problem
        self.repaint()
        self.look_in(_IDLE_SECONDS)

    def on_resize(self) -> None:
        self.call_after_refresh(self.repaint)

    def repaint(self) -> None:
        for rows in self.query(Rows):
            if not isinstance(rows, KeyLine):
                rows.repaint()

    def action_move(self, by: int) -> None:
        self.list.move(by)
        self.repaint()

    def action_page(self, by: int) -> None:
        self.list.page(by)
        self.repaint()

    def action_shift(self, by: int) -> None:
        self.list.shift(by)
        self.repaint()

    def action_follow(self) -> None:
        """Go to the newest line and stay there, or stand still."""
        self.list.follows = not self.list.follows
        self.list.append(())
        self.repaint()

    def action_near(self) -> None:
        self.list.toggle_near()
        self.repaint()

    def action_jump(self, by: int) -> None:
        if not self.list.jump(by):
            what = f"holds {self.list.needle!r}" if self.list.needle else "is marked"
            self.app.notify(f"no line {what}", timeout=2, markup=False)
        self.repaint()

    def action_search(self) -> None:
        self.app.push_screen(FilterBox(self))

    def action_open(self) -> None:
        if self.list.pointed is not None:
            self.app.push_screen(WholeLine(self.list.pointed))

    def action_back(self) -> None:
        """See all lines again; then leave."""
        if self.list.needle:
            self.list.search("")
            self.repaint()
        else:
            super().action_back()

    def _status(self, width: int, height: int) -> list[Line]:
        word, role = words.state(self.state.state)
        right = [(self.problem, "bad")] if self.problem else []
        step = f"step {self.state.step:,}" if self.state.step else ""
        return [spread([(self.run.name, "bold"), (word, role), (step, "dim")], right, width)]

    def _paint(self, width: int, height: int) -> list[Line]:
        rows = self.list.paint(width, height)
        if rows:
            return rows
        why = "no line holds it; esc shows all" if self.list.needle and self.list.total else self.nothing()
        return [[(f"  {why}", "dim")]]


class WholeLine(TextBox):
    """One line in full."""

    def __init__(self, line: TextLine) -> None:
        super().__init__()
        self._line = line

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield self.box(self._line.kind or "line", self.wrapped(self._line.text, self._line.role))


class FilterBox(FootBox):
    """A line at the bottom; the lines behind it follow what is typed."""

    DEFAULT_CSS = """
    FilterBox { align: center bottom; background: $background 0%; }
    FilterBox Vertical { height: 2; width: 1fr; background: $panel; }
    FilterBox Input { width: 1fr; }
    """

    def __init__(self, lines: LineScreen) -> None:
        super().__init__()
        self._lines = lines

    def compose(self) -> ComposeResult:
        with Vertical():
            yield Rows(self._hint)
            yield Input(self._lines.list.needle, compact=True)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        self._lines.list.search(event.value)
        self._lines.repaint()
        self.query_one(Rows).repaint()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(None)

    def action_cancel(self) -> None:
        """See all lines again."""
        self._lines.list.search("")
        self._lines.repaint()
        self.dismiss(None)

    def _hint(self, width: int, height: int) -> list[Line]:
        keys: Line = [("enter", "key"), (" keep  ", "dim"), ("esc", "key"), (" all lines  ", "dim")]
        return [
            [(" lines that hold a text, or with ! don't   ", "head"), *keys, (self._lines.list.count, "")]
        ]
