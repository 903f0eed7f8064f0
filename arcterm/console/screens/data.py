"""Data sets: the known ones, and of one its counts, images per person, verification sets and findings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import msgspec
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from arcterm.config import PATH_FIELD
from arcterm.console import remembered
from arcterm.console.habits.cursor import CursorKeys, CursorRows
from arcterm.console.keys import KeyLine
from arcterm.console.messages import LookFailed
from arcterm.console.panels.listing import first_row
from arcterm.console.rows import Rows
from arcterm.console.screens.faces import AskPath, FindingBox, drawn_faces
from arcterm.console.screens.polling import Polling
from arcterm.errors import ArctermError
from arcterm.inputs.datafacts import CHECK, CheckedFinding, CheckedKind, DataFacts
from arcterm.inputs.known import KnownSource, known_sources
from arcterm.show import dataset
from arcterm.show.lines import Line, shorten, spread
from arcterm.show.pages import FactReader
from arcterm.text import clean

GIVEN = "data sets"
"""Key of the data sets that were given by hand, in `remembered`."""

_ON_SOURCE = ("read", "check", "pictures", "train", "bench")
_FACE_PANE = 42


class SourceRows(CursorRows):
    """The data sets; a click chooses one, the wheel moves the cursor."""

    def on_click(self, event: events.Click) -> None:
        screen = self.screen
        if isinstance(screen, DataScreen) and event.y:
            screen.action_move(screen.first + event.y - 1 - screen.cursor)


class DataScreen(CursorKeys, Polling):
    """Known data sets, the facts of the one under the cursor, and what its last check found."""

    changes = frozenset({"check", "train", "bench"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "read", "read", tooltip="read the data set: count its images, people and pairs"),
        Binding("n", "finding(1)", "finding", tooltip="the next finding of its check; N the one before"),
        Binding("N", "finding(-1)", "finding before", show=False),
        Binding("f", "faces", "faces", tooltip="the finding in full, with the faces"),
        Binding("c", "check", "check", tooltip="check every record: fill in the form of `data check`"),
        Binding("v", "pictures", "pictures", tooltip="its people and pairs as pictures"),
        Binding("L", "train", "train", tooltip="fill in the launch form with this data set"),
        Binding("a,slash", "add", "add", tooltip="look at another data set: a path or a name"),
        Binding("D", "forget", "forget", tooltip="forget a data set that was given; its files stay"),
        Binding("B", "bench", "speed", tooltip="measure how fast it is read: the form of `data bench`"),
        Binding("r", "refresh", "refresh", show=False, tooltip="look for data sets again"),
    ]

    @dataclass
    class Sources(Message):
        """The known data sets were read."""

        known: list[KnownSource]

    @dataclass
    class FactsRead(Message):
        """A data set was read, or could not be."""

        source: str
        result: DataFacts | ArctermError

    @dataclass
    class Reading(Message):
        """How far the reading of a data set is."""

        progress: str

    @dataclass
    class FacesDrawn(Message):
        """The faces of a finding were drawn."""

        finding: CheckedFinding
        faces: Text

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.known: list[KnownSource] | None = None
        self.cursor = 0
        self._finding = 0
        self._facts: dict[str, DataFacts] = {}
        self._reader: FactReader | None = None
        self._progress = self._problem = ""

    def compose(self) -> ComposeResult:
        yield Rows(self._draw_title, id="title")
        yield SourceRows(self._draw_sources, id="sources")
        yield Rows(self._draw_overview, id="overview")
        with Horizontal(id="counts"):
            yield Rows(lambda w, h: dataset.histogram(f, w, h) if (f := self.facts) else [], id="histogram")
            yield Rows(lambda w, h: dataset.sets(f, w, h) if (f := self.facts) else [], id="sets")
        with Horizontal(id="found"):
            yield Rows(self._draw_findings, id="findings")
            yield Static("", id="faces", markup=False)
        yield KeyLine()

    def on_screen_resume(self) -> None:
        """Look again: a check may have ended, a pack may have been made."""
        self.look()

    def on_unmount(self) -> None:
        """End the process that reads."""
        if self._reader is not None:
            self._reader.end()

    def read(self) -> Message:
        return self.Sources(known_sources(self.root, remembered.get(GIVEN, [""])))

    def on_data_screen_sources(self, message: Sources) -> None:
        """Show them with the cursor on the same one as before."""
        before = self.chosen.source if self.chosen else ""
        self.known = [each for each in message.known if each.source]
        places = [n for n, each in enumerate(self.known) if each.source == before]
        self.cursor = places[0] if places else min(self.cursor, max(0, len(self.known) - 1))
        self.rest()
        self._changed()

    def on_look_failed(self, message: LookFailed) -> None:
        self._problem = message.problem
        self.known = self.known or []
        self.rest()
        self._changed()

    def on_data_screen_reading(self, message: Reading) -> None:
        self._progress = message.progress
        self.query_one("#overview", Rows).repaint()

    def on_data_screen_facts_read(self, message: FactsRead) -> None:
        """Keep the facts, or show why there are none."""
        self._reader, self._progress = None, ""
        if isinstance(message.result, DataFacts):
            self._facts[message.source] = message.result
        else:
            self.console_app.show_error(message.result)
        self._changed()

    def on_data_screen_faces_drawn(self, message: FacesDrawn) -> None:
        if (found := self.found) is not None and found[1] is message.finding:
            self.query_one("#faces", Static).update(message.faces)

    @property
    def chosen(self) -> KnownSource | None:
        """The data set under the cursor."""
        return self.known[self.cursor] if self.known and self.cursor < len(self.known) else None

    @property
    def facts(self) -> DataFacts | None:
        """The facts of the chosen one: as just read, with the findings of its last check."""
        if self.chosen is None:
            return None
        recorded, found = self.chosen.facts, self._facts.get(self.chosen.source)
        if found is None or recorded is None or recorded.findings is None:
            return found or recorded
        return msgspec.structs.replace(found, findings=recorded.findings, run=recorded.run)

    @property
    def found(self) -> tuple[CheckedKind, CheckedFinding] | None:
        """The finding under its own cursor, with its kind."""
        named = dataset.named_findings(self.facts) if self.facts else []
        return named[self._finding][1:] if self._finding < len(named) else None

    @property
    def first(self) -> int:
        """The data set in the first row of the list."""
        height = self.query_one("#sources").size.height
        return first_row(len(self.known or []), self.cursor, height)

    def refusal(self, action: str) -> str:
        """What the data set under the cursor does not allow."""
        if action in ("finding", "faces"):
            return "" if self.found is not None else "there is no finding: c checks every record"
        chosen = self.chosen
        if action in (*_ON_SOURCE, "forget") and chosen is None:
            return "there is no data set here; a looks at another"
        if chosen is None:
            return ""
        if action == "forget":
            return "" if chosen.given else "only a data set that was added is forgotten"
        if action in _ON_SOURCE and not chosen.there:
            return "it is not there"
        made = action in ("check", "bench") and "/" not in chosen.source  # jobs read files
        return "it is drawn when it is read, and has no files to look through" if made else ""

    def action_move(self, rows: int) -> None:
        if self.known:
            self.cursor = max(0, min(self.cursor + rows, len(self.known) - 1))
            self._finding = 0
            self._changed()

    def action_finding(self, rows: int) -> None:
        named = dataset.named_findings(self.facts) if self.facts else []
        self._finding = max(0, min(self._finding + rows, len(named) - 1))
        self._changed()

    def action_faces(self) -> None:
        """Show the finding in full."""
        if self.found is not None and self.facts is not None:
            self.app.push_screen(FindingBox(self.facts, *self.found))

    def action_read(self) -> None:
        """Read the data set under the cursor; a second press ends it."""
        if self._reader is not None:
            self._reader.end()
        elif self.chosen is not None:
            self._reader, self._progress = FactReader(), "opening …"
            work = partial(self._read_facts, self._reader, self.chosen.source)
            self.run_worker(work, thread=True, group="facts", exit_on_error=False)
            self._changed()

    def action_check(self) -> None:
        self._open_job(CHECK)

    def action_bench(self) -> None:
        self._open_job("bench")

    def action_pictures(self) -> None:
        if self.chosen is not None:
            self.console_app.open_pictures(self.chosen.source)

    def action_train(self) -> None:
        if self.chosen is not None:
            texts = {"backbone": "tiny", "loss": "arcface", "dataset": self.chosen.source}
            self.console_app.open_form(texts)

    def action_refresh(self) -> None:
        self.look()

    def action_add(self) -> None:
        """Ask for a path or a name, and put it first."""

        def take(answer: object) -> None:
            if answer:
                text = str(answer)
                path = Path(text).expanduser()
                source = str(path.absolute()) if path.exists() or "/" in text else text
                before = [each for each in remembered.get(GIVEN, [""]) if each not in ("", source)]
                remembered.put(GIVEN, [source, *before][:50])
                self.cursor = 0
                self.known = None
                self.look()

        words = "a pack, a folder of people, a .lst, a .bin, or a data set's name"
        self.app.push_screen(AskPath("look at a data set", words), take)

    def action_forget(self) -> None:
        if self.chosen is not None:
            left = [each for each in remembered.get(GIVEN, [""]) if each not in ("", self.chosen.source)]
            remembered.put(GIVEN, left)
            self.look()

    def _open_job(self, name: str) -> None:
        if self.chosen is not None:
            self.console_app.open_job(name, {f"{PATH_FIELD}src": self.chosen.source})

    def _read_facts(self, reader: FactReader, source: str) -> None:
        """Read a data set, in a worker thread."""

        def progress(done: int, total: int, what: str = "", /) -> None:
            self.post_message(self.Reading(f"{clean(what) or 'reading'} {done:,} of {total:,}"))

        try:
            self.post_message(self.FactsRead(source, reader.read(source, progress)))
        except ArctermError as error:
            self.post_message(self.FactsRead(source, error))

    def _changed(self) -> None:
        """Draw everything again, and the faces of the finding where there is room for them."""
        for rows in self.query(Rows):
            rows.repaint()
        self.refresh_bindings()
        pane, found, facts = self.query_one("#faces", Static), self.found, self.facts
        pane.update("")
        if found is None or facts is None or not found[1].faces or self.has_class("-narrow"):
            return
        work = partial(self._draw_faces, facts, found[1])
        self.run_worker(work, thread=True, group="faces", exit_on_error=False)

    def _draw_faces(self, facts: DataFacts, finding: CheckedFinding) -> None:
        drawn = drawn_faces(facts, finding, _FACE_PANE, self.console_app.ascii)
        self.post_message(self.FacesDrawn(finding, drawn))

    def _draw_title(self, width: int, height: int) -> list[Line]:
        count = len(self.known or [])
        right = f"{count} data set{'s' * (count != 1)}" if self.known is not None else "looking …"
        problem = shorten(clean(self._problem), width - len(right) - 12)
        return [spread([("data", "head"), (problem, "bad")], [(right, "")], width)]

    def _draw_sources(self, width: int, height: int) -> list[Line]:
        if self.known is None:
            return [[(" looking for data sets that runs know …", "dim")]]
        if not self.known:
            return [[(" none yet: a names one by its path", "dim")]]
        return dataset.sources(self.known, self.cursor, width, height, self.first)

    def _draw_overview(self, width: int, height: int) -> list[Line]:
        if self._progress:
            return [spread([(self._progress, "accent")], [("enter ends it", "dim")], width)]
        if self.facts is not None:
            return dataset.overview(self.facts, width)
        there = self.chosen is not None and self.chosen.there
        text = "not read yet: enter counts its images and people" if there else "its files are gone"
        return [[(f" {text}" if self.chosen else "", "dim")]]

    def _draw_findings(self, width: int, height: int) -> list[Line]:
        return dataset.findings(self.facts, self._finding, width, height) if self.facts else []
