"""The engine that starts runs, one of the registered launchers."""

from __future__ import annotations

import errno
from typing import cast

from arcterm_registry import get
from arcterm_registry.contracts import LauncherFactory

from arcterm.errors import RunError
from arcterm.launch.trackers import processes
from arcterm.processes import termination
from arcterm.runs.store import Run

LAUNCHER = "arcterm:local"  # in full: another package may have one of that name
_MENDING = {
    errno.ENOSPC: "make room on that disk",
    errno.EDQUOT: "make room on that disk",
    errno.EACCES: "make it writable",
    errno.EROFS: "make it writable",
    errno.EAGAIN: "look at the system's process limits",
    errno.ENOMEM: "free some memory",
}


def submit(run: Run, *options: str) -> str:
    """Start `run`, its supervisor with `options`; returns the engine's id for it. Raises `RunError`."""
    termination.hold()
    engine = cast(LauncherFactory, get("launcher", LAUNCHER).load()())
    try:
        submitted = engine.submit(run, *options)
    except OSError as error:
        step = _MENDING.get(error.errno or 0, "look at the run's directory")
        raise RunError(f"can't start {run.id}: {error}", f"{step}, then `arcterm resume {run.id}`") from None
    processes.start(run)
    return submitted
