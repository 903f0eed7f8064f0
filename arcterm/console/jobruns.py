"""The jobs of a directory of runs: those under way first, then those that wait, then those that are over."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from arcterm.config import JobConfig
from arcterm.errors import ArctermError
from arcterm.runs.engines import record
from arcterm.runs.events import Phase
from arcterm.runs.reader import Reader, stop_pending
from arcterm.runs.report import read_report
from arcterm.runs.state import LIVE, State, damage, read_state
from arcterm.runs.store import Run, list_runs, recorded
from arcterm.show.words import created
from arcterm.text import clean

_BUDGET_SECONDS = 0.15


@dataclass
class JobRun:
    """A job and how far it is; `known` once its events were read. `made` is its result, or the first line
    of its report; `left` are the seconds to its end, as far as they are known."""

    run: Run
    config: JobConfig
    created: float
    state: State
    stopping: bool = False
    phase: Phase | None = None
    left: float | None = None
    problems: int = 0
    made: str = ""
    known: bool = False

    @property
    def live(self) -> bool:
        """Whether it is under way, or waits."""
        return self.state.state in LIVE

    @property
    def word(self) -> str:
        """The state as shown."""
        return "stopping" if self.stopping and self.live else self.state.state

    @property
    def rank(self) -> tuple[int, float]:
        """Its place in the list: those that wait in the order in which they came, others newest first."""
        if self.state.state == "queued":
            return 1, self.created
        return (0 if self.live else 2), -self.created


@dataclass
class JobRuns:
    """The jobs in `root`; `refresh` is called again and again, from one thread at a time."""

    root: Path
    _jobs: dict[str, JobRun] = field(default_factory=dict)
    _others: set[str] = field(default_factory=set)
    _stamps: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _readers: dict[str, Reader] = field(default_factory=dict)
    _runs: list[Run] = field(default_factory=list)
    _stamp: int = -1

    def refresh(self) -> tuple[list[JobRun], bool]:
        """All jobs, and whether some were left unread for lack of time; raises `RunError`."""
        self._list()
        deadline = time.monotonic() + _BUDGET_SECONDS
        for run in self._runs:
            try:
                self._look(run, time.monotonic() < deadline)
            except (ArctermError, OSError) as error:
                if (job := self._jobs.get(run.id)) is not None:
                    job.state, job.known = State(state="damaged", reason=damage(run, error)), True
        found = sorted(self._jobs.values(), key=lambda job: job.rank)
        return found, any(not job.known for job in found)

    def _list(self) -> None:
        """List the runs again if any was added or removed."""
        try:
            stamp = self.root.stat().st_mtime_ns
        except FileNotFoundError:
            stamp = -1
        if stamp == self._stamp and stamp != -1:
            return
        self._runs, self._stamp = list_runs(self.root), stamp
        there = {run.id for run in self._runs}
        for gone in self._jobs.keys() - there:
            del self._jobs[gone]
            self._readers.pop(gone, None)
        self._others &= there

    def _look(self, run: Run, in_time: bool) -> None:
        if run.id in self._others:
            return
        job = self._jobs.get(run.id)
        if job is None:
            record = recorded(run)
            if record is None or not isinstance(record.config, JobConfig):
                self._others.add(run.id)
                return
            job = JobRun(run, record.config, created(record.created), read_state(run))
            self._jobs[run.id] = job
        stamp = _modified(run)
        if job.known and not job.live and self._stamps.get(run.id) == stamp:
            return
        job.state = read_state(run)
        job.stopping = stop_pending(run, job.state)
        self._stamps[run.id] = stamp
        if in_time:
            self._read(job)

    def _read(self, job: JobRun) -> None:
        reader = self._readers.setdefault(job.run.id, Reader(job.run))
        summary = reader.refresh()
        job.state = reader.judge(job.state)
        job.phase, job.left = summary.phase, summary.phase_eta() if job.live else None
        if job.state.state == "done" and (report := read_report(job.run)) is not None:
            job.problems = report.problems
            job.made = clean(report.result or next(iter(report.lines), ""))
        job.known = True
        if not job.live:
            self._readers.pop(job.run.id, None)


def _modified(run: Run) -> tuple[int, ...]:
    """Times of change of the files that a run's state is read from; 0 for one that is not there."""
    return tuple(_changed(run.path / name) for name in ("state.json", record.NAME))


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116
    except FileNotFoundError:
        return 0
