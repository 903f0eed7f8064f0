"""``engine.json``: the id under which an engine holds a run, and the state that it last reported."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from arcterm.files import read_json, write_json

if TYPE_CHECKING:
    from arcterm.runs.store import Run

NAME = "engine.json"
HELD = ".held"
"""The folder beside the runs with an empty file for each one that an engine holds."""


class EngineRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A run at its engine: `launcher` submitted it as `id`, at `submitted`, seconds since 1970.

    `state` was reported at `asked`, when attempt `attempt` was the run's last. `reason` says why it waits or
    how it ended, `start` when it is expected to begin; `hosts` are its machines, `raw` is the engine's word,
    `logs` are paths of files that the engine writes.
    """

    launcher: str
    id: str
    submitted: float
    attempt: int
    asked: float = 0.0
    state: Literal["queued", "running", "ended", "unknown"] = "queued"
    reason: str = ""
    start: float | None = None
    hosts: list[str] = []
    raw: str = ""
    logs: list[str] = []

    @property
    def waiting(self) -> str:
        """Why the run waits, and for how long: ``slurm 17: Priority, starts about 14:05``."""
        why = self.reason or self.raw
        begins = f"starts about {_clock(self.start)}" if self.start else ""
        return ": ".join(filter(None, (f"{self.launcher} {self.id}", ", ".join(filter(None, (why, begins))))))

    @property
    def ending(self) -> str:
        """How it ended before the run began."""
        why = self.reason or self.raw
        return f"{self.launcher} {self.id} ended before the run began" + (f": {why}" if why else "")


def read(run: Run) -> EngineRecord | None:
    """The record of a run; None of one that no engine holds or held. Raises `DataError` if it is damaged."""
    try:
        return read_json(run.path / NAME, EngineRecord)
    except (FileNotFoundError, NotADirectoryError):
        return None


def write(run: Run, record: EngineRecord) -> None:
    """Replace the record of a run, and note beside the runs whether an engine holds it."""
    write_json(run.path / NAME, record)
    noted = run.path.parent / HELD / run.id
    if record.state == "ended":
        noted.unlink(missing_ok=True)
    elif not noted.exists():
        noted.parent.mkdir(mode=0o700, exist_ok=True)
        noted.touch(mode=0o600)


def held(root: Path) -> list[str]:
    """The ids of the runs of `root` that engines hold, without a look at any other run."""
    try:
        names = [entry.name for entry in (root / HELD).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(name for name in names if (root / name).is_dir())


def _clock(t: float) -> str:
    """A time of today as 14:05, of another day with its date; in this machine's time zone."""
    at = datetime.datetime.fromtimestamp(t).astimezone()
    today = at.date() == datetime.datetime.now().astimezone().date()
    return f"{at:%H:%M}" if today else f"{at:%Y-%m-%d %H:%M}"
