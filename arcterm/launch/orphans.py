"""Processes of a run that outlived its supervisor."""

from __future__ import annotations

import contextlib

import psutil

from arcterm.runs.store import Run

_PROGRAMS = {f"arcterm.processes.{name}" for name in ("agent", "rank", "solo")}
_SECONDS = 15.0


def end(run: Run) -> int:
    """Kill what still works on `run` on this host, with all that is below it; returns how many there were.

    Only the holder of the run's lock may call this.
    """
    place = str(run.path.resolve())
    found: set[psutil.Process] = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if place in words and _PROGRAMS.intersection(words):
                found |= {process, *process.children(recursive=True)}
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(found, timeout=_SECONDS)
    return len(found)
