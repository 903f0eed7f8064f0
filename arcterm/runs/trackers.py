"""The folder of each of a run's trackers, ``trackers/NAME/``: how far it is, its lock, log and own files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from arcterm.errors import DataError
from arcterm.files import read_json, write_json
from arcterm.runs.reading.follow import Follower
from arcterm.runs.store import Run, recorded

PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.1
_STARTUP_SECONDS = 20.0
TrackerState = Literal["starting", "running", "failing", "failed", "done"]


class Tracking(msgspec.Struct, kw_only=True):
    """``state.json``: a tracker has everything up to `step`, `values` numbers in all.

    `error` is its last one, of which it has recovered if it is ``running``. `position` are the bytes read of
    each event file, `last` is the newest step of each value, `sent` names the notices, `best` is the best
    verification so far, `since` the time of its first start: of what happened before no notice is sent.
    """

    tracker: str
    state: TrackerState = "starting"
    step: int = -1
    values: int = 0
    error: str = ""
    since: float = 0.0
    position: dict[str, int] = {}
    last: dict[str, int] = {}
    sent: list[str] = []
    best: float | None = None


def names(text: str) -> list[str]:
    """The trackers of a config's `track`."""
    return [name for part in text.split(",") if (name := part.strip())]


def folder(run: Run, name: str) -> Path:
    """Where the tracker called `name`, or ``dist:name``, keeps what belongs to the run."""
    return run.path / "trackers" / re.sub(r"[^A-Za-z0-9_-]+", ".", name)


def read(run: Run, name: str) -> Tracking:
    """How far a tracker is; one that was never started is at the beginning. Raises `DataError`."""
    try:
        return read_json(folder(run, name) / "state.json", Tracking)
    except FileNotFoundError:
        return Tracking(tracker=name)


def write(run: Run, tracking: Tracking) -> None:
    """Replace the record of a tracker."""
    write_json(folder(run, tracking.tracker) / "state.json", tracking)


@contextlib.contextmanager
def lock(run: Run, name: str) -> Iterator[None]:
    """Wait for the tracker's lock, which its process holds as long as it lives."""
    fd = os.open(folder(run, name) / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def is_alive(run: Run, name: str) -> bool:
    """Whether a process on this host feeds the tracker."""
    try:
        fd = os.open(folder(run, name) / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def wait_for(run: Run, patience: float = PATIENCE_SECONDS) -> list[dict[str, Any]]:
    """Wait until the trackers of a run that has ended have everything; returns those that have not.

    It is waited as long as one of them gets on or is about to begin, and `patience` seconds more.
    """
    seen, since = describe(run), time.monotonic()
    while True:
        left = [each for each in seen if each["state"] in ("starting", "running", "failing")]
        begins = any(each["state"] == "starting" for each in left)
        if not left or (time.monotonic() - since > patience and not begins):
            return left
        time.sleep(_LOOK_SECONDS)
        if (now := describe(run)) != seen:
            seen, since = now, time.monotonic()


def _state(run: Run, name: str, at: Tracking) -> str:
    """The state of a tracker as it is now: `at` is what its process wrote last."""
    resumed = at.state == "done" and _has_more(run, at)
    if at.state == "failed" or (at.state == "done" and not resumed):
        return at.state
    if is_alive(run, name):
        return "running" if resumed else at.state
    # a process that may not be up yet: the first, or that of a resume, which has brought events since
    signs = run.events.iterdir() if resumed else [] if at.since else [folder(run, name)]
    return "starting" if any(map(_is_recent, signs)) else "gone"


def _has_more(run: Run, at: Tracking) -> bool:
    """Whether there are events after those that a tracker has; a line that a kill has cut is none."""
    follower = Follower(run)
    follower.seek(at.position)
    return next(follower.events(), None) is not None


def _is_recent(path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime < _STARTUP_SECONDS
    return False


def describe(run: Run) -> list[dict[str, Any]]:
    """Name, state, step, values, error and folder of each tracker of a run, as `show --json` prints them.

    The state of one whose process is gone before its end is ``gone``.
    """
    record = recorded(run)
    found = []
    for name in names(getattr(record.config, "track", "")) if record else []:
        try:
            at = read(run, name)
        except (DataError, OSError) as error:
            at = Tracking(tracker=name, state="failed", error=str(error))
        found.append(
            {
                "name": name,
                "state": _state(run, name, at),
                "step": max(at.step, 0),
                "values": at.values,
                "error": at.error or None,
                "path": os.path.realpath(folder(run, name)),
            }
        )
    return found
