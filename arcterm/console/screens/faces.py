"""A finding with its faces, and the question for a data set."""

from __future__ import annotations

from functools import partial

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Input, Static

from arcterm.console import terminal
from arcterm.console.paths import PathSuggester
from arcterm.console.screens.boxes import Ask, TextBox
from arcterm.inputs.datafacts import CheckedFinding, CheckedKind, DataFacts, face_files
from arcterm.pictures.blocks import Mode
from arcterm.show.dataset import finding_detail
from arcterm.show.drawing import coloured
from arcterm.show.faces import draw_files
from arcterm.show.lines import Line


def picture_mode(ascii_only: bool) -> Mode:
    """How pictures are drawn: in colours, in signs without, in ASCII."""
    return "ascii" if ascii_only else "grey" if terminal.colourless() else "colour"


def drawn_faces(facts: DataFacts, finding: CheckedFinding, width: int, ascii_only: bool) -> Text:
    """The pictures of a finding side by side; for a worker thread."""
    drawn = draw_files(face_files(facts, finding), width, picture_mode(ascii_only))
    lines = [coloured(line, width) for line in drawn.lines]
    return Text("\n").join([*lines, *(Text(problem) for problem in drawn.problems)])


class FindingBox(TextBox):
    """A finding in full: its kind, what was found, the next step, the faces."""

    BINDINGS = [Binding("enter,f", "cancel", "close")]  # noqa: RUF012  Textual declares its type

    class Drawn(Message):
        """The faces were drawn."""

        def __init__(self, faces: Text) -> None:
            super().__init__()
            self.faces = faces

    def __init__(self, facts: DataFacts, kind: CheckedKind, finding: CheckedFinding) -> None:
        super().__init__()
        self._facts, self._kind, self._finding = facts, kind, finding

    def compose(self) -> ComposeResult:
        title, *rest = finding_detail(self._kind, self._finding, self.text_width())
        with VerticalScroll(classes="box"):
            yield self.box("".join(text for text, _ in title), rest, "warn" if self._kind.problem else "head")
            yield Static("" if not self._finding.faces else "drawing …", id="finding", markup=False)
            keys: Line = [("esc", "key"), (" closes this", "dim")]
            yield self.box("", [keys])

    def on_mount(self) -> None:
        """Draw the faces in another thread."""
        if self._finding.faces:
            width, ascii_only = self.text_width(), bool(getattr(self.app, "ascii", False))
            work = partial(self._draw, width, ascii_only)
            self.run_worker(work, thread=True, exit_on_error=False)

    def on_finding_box_drawn(self, message: Drawn) -> None:
        self.query_one("#finding", Static).update(message.faces)

    def _draw(self, width: int, ascii_only: bool) -> None:
        self.post_message(self.Drawn(drawn_faces(self._facts, self._finding, width, ascii_only)))


class AskPath(Ask):
    """A line for a path, which is completed while it is typed."""

    def compose(self) -> ComposeResult:
        keys: Line = [("enter", "key"), (" look   ", ""), ("→", "key"), (" complete   ", ""), ("esc", "key")]
        with Vertical(classes="box"):
            yield self.box(self._title, self.wrapped(self._text))
            yield Input(compact=True, suggester=PathSuggester())
            yield self.box("", [[*keys, (" leave it", "")]])
