"""Changes of a training's config since the run was made: ``history.json``, beside a ``run.json`` that stays.

Only the holder of the run's lock records a change; a reader sees the file before it or after it, whole. Who
starts an attempt with changes does not hold the lock to the end, so it leaves a proposal, which the
supervisor records once it owns the run: a start that fails on the way changes nothing.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from arcterm.config import TrainConfig
from arcterm.errors import RunError
from arcterm.files import create_json, read_json, ulid, write_json

if TYPE_CHECKING:
    from arcterm.runs.store import Run

Mark = tuple[int, int, int]
"""Inode, size and time of change of a version of ``history.json``."""

_PROPOSED = ".change-"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A change of settings, from `step` on; `t` is seconds since 1970, `why` the command or event behind it.

    `settings` maps the name of each changed setting to its [old, new] value. `config` is complete.
    """

    t: float
    step: int
    why: str
    settings: dict[str, list[Any]]
    config: TrainConfig


class PlannedChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change before the run is owned: the config from `step` on, and why.

    It holds while `newest` is the step of the newest checkpoint by name, None for none, and `changes` the
    number of changes before it: else the run went on since it was worked out.
    """

    step: int
    why: str
    config: TrainConfig
    newest: int | None
    changes: int


def record(run: Run, config: TrainConfig, why: str, step: int) -> Change:
    """Make `config` the run's config from `step` on, durably; the caller holds the run's lock."""
    change = Change(t=time.time(), step=step, why=why, settings=difference(run.config, config), config=config)
    write_json(_path(run.path), [*read(run), change])
    return change


def read(run: Run) -> list[Change]:
    """The changes, oldest first; raises `DataError` if the file is damaged."""
    try:
        return read_json(_path(run.path), list[Change])
    except FileNotFoundError:
        return []


def propose(run: Run, proposal: PlannedChange) -> str:
    """Write a proposal for the supervisor that is about to be started; returns its name for `accept`."""
    name = f"{_PROPOSED}{ulid()}.json"
    create_json(run.path / name, proposal)
    return name


def proposed(run: Run, name: str) -> PlannedChange:
    """Read the proposal called `name`."""
    return read_json(run.path / name, PlannedChange)


def accept(run: Run, name: str, newest: int | None) -> None:
    """Record the proposal called `name`; the caller holds the run's lock.

    `newest` is the step of the newest checkpoint now. Raises `RunError` if the run went on since.
    """
    proposal = proposed(run, name)
    if (proposal.newest, proposal.changes) != (newest, len(read(run))):
        raise RunError(f"{run.id} went on since the changes were worked out", "ask for them again")
    record(run, proposal.config, proposal.why, proposal.step)
    forget(run)


def forget(run: Run, name: str = f"{_PROPOSED}*.json") -> None:
    """Remove a proposal; by default all, those of starts that were killed too."""
    for path in run.path.glob(name):
        path.unlink(missing_ok=True)


def mark(run: Run) -> Mark | None:
    """Identify the present version of the history; None if nothing was changed. Raises OSError."""
    try:
        found = _path(run.path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def difference(old: TrainConfig, new: TrainConfig) -> dict[str, list[Any]]:
    """Map the name of each setting that differs to its values in `old` and `new`, as JSON values."""
    before, after = msgspec.to_builtins(old), msgspec.to_builtins(new)
    return {name: [before[name], value] for name, value in after.items() if before[name] != value}


def describe(run: Run) -> list[dict[str, Any]]:
    """The changes as JSON values, without the complete configs."""
    changes = msgspec.to_builtins(run.changes)
    return [{key: value for key, value in change.items() if key != "config"} for change in changes]


def _path(run: Path) -> Path:
    return run / "history.json"
