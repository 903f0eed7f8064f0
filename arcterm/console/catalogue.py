"""The runs of a directory as the run list shows them, read again only where something can have changed."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from arcterm.console.panels.verification import best_result
from arcterm.errors import ArctermError
from arcterm.runs.describe import Summary
from arcterm.runs.reader import Reader, stop_pending
from arcterm.runs.report import read_report
from arcterm.runs.space import used_bytes
from arcterm.runs.state import LIVE, State, damage, read_state
from arcterm.runs.store import Run, RunRecord, recorded, scan
from arcterm.show.words import counted, created, skipped
from arcterm.text import clean

_BUDGET_SECONDS = 0.15


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run in the list; `record` is None where it can't be read.

    `best` is (set or ``mean``, accuracy, step); `known` means that the events were read. For a job
    `step` and `steps` are the counts of its phase, `problems` those found, `said` its result or phase.
    `size` is in bytes.
    """

    run: Run
    record: RunRecord | None
    name: str
    state: State
    stopping: bool = False
    step: int = 0
    steps: int = 0
    loss: float | None = None
    best: tuple[str, float, int] | None = None
    problems: int = 0
    said: str = ""
    created: float = 0.0
    size: int = 0
    known: bool = False

    @property
    def word(self) -> str:
        """The state as shown."""
        return "stopping" if self.stopping and self.state.state in LIVE else self.state.state

    @property
    def live(self) -> bool:
        """Whether the run is live."""
        return self.state.state in LIVE

    @property
    def text(self) -> str:
        """The text that the filter searches."""
        c = self.record.config if self.record else None
        about = " ".join([c.title, *c.columns.values(), *c.paths]) if c else ""
        return f"{self.name} {self.run.id} {self.word} {about}".lower()

    def matches(self, text: str) -> bool:
        """Whether every word of the filter occurs."""
        return all(word in self.text for word in text.lower().split())


@dataclass
class Catalogue:
    """The runs in `root`; `refresh` is called again and again, from one thread at a time.

    `others` is the number of entries of `root` that are no runs.
    """

    root: Path
    others: int = 0
    _runs: list[Run] = field(default_factory=list)
    _stamp: int = -1
    _entries: dict[str, Entry] = field(default_factory=dict)
    _stamps: dict[str, int] = field(default_factory=dict)
    _readers: dict[str, Reader] = field(default_factory=dict)

    def refresh(self) -> tuple[list[Entry], bool]:
        """All entries, newest first, and whether some were left unread for lack of time."""
        self._list()
        deadline = time.monotonic() + _BUDGET_SECONDS
        for run in self._runs:
            try:
                self._look(run, read_events=time.monotonic() < deadline)
            except (ArctermError, OSError) as error:
                if os.path.lexists(run.path):
                    broken = State(state="damaged", reason=damage(run, error))
                    self._entries[run.id] = replace(_blank(run, broken), known=True)
                else:  # it is being removed
                    self._entries.pop(run.id, None)
        entries = [self._entries[run.id] for run in self._runs if run.id in self._entries]
        return entries, any(not entry.known for entry in entries)

    def _list(self) -> None:
        try:
            stamp = self.root.stat().st_mtime_ns
        except FileNotFoundError:
            stamp = -1
        if stamp != self._stamp or stamp == -1:
            (self._runs, self.others), self._stamp = scan(self.root), stamp
            ids = {run.id for run in self._runs}
            for cache in (self._entries, self._stamps, self._readers):
                for gone in cache.keys() - ids:
                    del cache[gone]

    def _look(self, run: Run, read_events: bool) -> None:
        entry, stamp = self._entries.get(run.id), _modified(run.path / "state.json")
        settled = entry is not None and not entry.live and self._stamps.get(run.id) == stamp
        damaged = entry is not None and entry.state.state == "damaged"  # it may be mended
        if settled and entry is not None and entry.known and not damaged:
            return
        state = read_state(run)
        entry = _blank(run, state) if entry is None or damaged else entry
        entry = replace(entry, state=state, stopping=stop_pending(run, state))
        self._stamps[run.id] = stamp
        self._entries[run.id] = self._with_events(entry) if read_events else entry

    def _with_events(self, entry: Entry) -> Entry:
        reader = self._readers.setdefault(entry.run.id, Reader(entry.run))
        summary = reader.refresh()
        entry = replace(entry, state=reader.judge(entry.state), size=used_bytes(entry.run.path))
        if entry.record and entry.record.config.kind == "job" and not summary.total_steps:
            return _of_job(entry, summary)
        last = summary.last_step
        return replace(
            entry,
            step=max(summary.step, entry.state.step),
            steps=summary.total_steps or entry.steps,
            loss=float(last.loss) if last else None,
            best=best_result(summary),
            said=skipped(summary),
            known=True,
        )


def _of_job(entry: Entry, summary: Summary) -> Entry:
    """Fill in a job's progress or result."""
    phase = summary.phase
    doing = " ".join(filter(None, (phase.phase, counted(phase)))) if phase else ""
    report = read_report(entry.run) if entry.state.state == "done" else None
    made = (report.result or next(iter(report.lines), "")) if report else ""
    return replace(
        entry,
        step=phase.done if phase else 0,
        steps=phase.total if phase else 0,
        problems=report.problems if report else 0,
        said=clean(made if report else doing),
        known=True,
    )


def _blank(run: Run, state: State) -> Entry:
    record = recorded(run)
    config = record.config if record else None
    return Entry(
        run=run,
        record=record,
        name=clean(run.title),
        state=state,
        step=state.step,
        steps=getattr(config, "steps", 0),
        created=created(run.created),
    )


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
