"""The processes that feed a training's trackers, started beside its supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from arcterm import environment
from arcterm.config import TrainConfig
from arcterm.processes import signals
from arcterm.processes.detached import Detached, keep
from arcterm.runs import trackers
from arcterm.runs.store import Run


def start(run: Run) -> None:
    """Start a process for each of the run's trackers; one that can't be started is recorded as failed.

    They are no children of the supervisor and outlive this process: nothing that becomes of them is seen by
    the training. One that still runs, after an attempt before, is waited for by its new process.
    """
    config = run.record.config
    for name in trackers.names(config.track) if isinstance(config, TrainConfig) else []:
        try:
            keep(_start(run, name))
        except OSError as error:
            _record_failure(run, name, f"its process can't be started: {error}")


def _start(run: Run, name: str) -> Detached:
    place = trackers.folder(run, name)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (place / "log").open("ab") as log, signals.blocked():
        return Detached(
            [sys.executable, "-m", "arcterm.processes.tracker", str(run.path.resolve()), name],
            # a GPU is the training's alone
            env=environment.for_child(CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1"),
            cwd=os.sep,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            close_fds=True,
        )


def _record_failure(run: Run, name: str, error: str) -> None:
    at = trackers.read(run, name)
    at.since = at.since or time.time()
    at.state, at.error = "failed", error
    trackers.write(run, at)
