"""SIGTERM means: save, then stop, with exit code 130 and without losing a step; whoever gets it, and when."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from arcterm.runs import store
from arcterm.runs.reader import Reader
from tests.e2e.conftest import ARCTERM, PATIENCE
from tests.e2e.test_kill import gone, processes
from tests.processes.test_init import UNSHARE, can_unshare

pytestmark = pytest.mark.slow


def begin(arcterm, *words: str, front: list[str] | None = None) -> subprocess.Popen[str]:
    """Start ``arcterm …`` and leave it running."""
    argv = [*(front or []), *ARCTERM, *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(argv, cwd=arcterm.folder, env=arcterm.env, text=True, **pipes)


def under_way(arcterm, attempt: int) -> str:
    """Wait until an attempt has made a few steps; returns the run's path."""
    deadline = time.monotonic() + PATIENCE
    while not (arcterm.folder / "runs").is_dir() or not list((arcterm.folder / "runs").glob("2*")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    before = arcterm.show("victim")
    saved = before["checkpoints"][-1]["step"] if before["checkpoints"] else 0
    told = arcterm.wait("victim", lambda told: told["attempt"] == attempt and told["step"] > saved + 3)
    return str(told["path"])


def check(arcterm, run: str, says: str) -> None:
    """Nothing is lost: state, newest checkpoint and the last event speak of one step."""
    told = arcterm.wait("victim", lambda told: told["state"] == "stopped")
    assert gone(run)
    steps = Reader(store.Run(Path(run)), check=True).refresh().steps
    assert told["step"] == told["checkpoints"][-1]["step"] == steps[-1]
    assert told["reason"] == says.format(step=told["step"])


def test_no_step_is_lost(arcterm, pack):
    train = ("train", "plain", "cosface", "--nproc", "2", "--batch-size", "6", "--steps", "40000")
    every = ("--checkpoint-every", "40000", "--verify-every", "40000", "--name", "victim", "--plain")

    command = begin(arcterm, *train, "--dataset", str(pack), *every)
    run = under_way(arcterm, 1)
    command.terminate()
    said = command.communicate(timeout=PATIENCE)[1]
    assert command.returncode == 130
    assert "SIGTERM: stopping after a checkpoint" in said
    check(arcterm, run, "SIGTERM: checkpoint at step {step}")

    # the command as the first process of a container
    command = begin(arcterm, "resume", "victim", "--plain", front=UNSHARE if can_unshare() else [])
    under_way(arcterm, 2)
    first = psutil.Process(command.pid).children()[0] if can_unshare() else command
    first.send_signal(signal.SIGTERM)
    command.communicate(timeout=PATIENCE)
    assert command.returncode == 130
    check(arcterm, run, "SIGTERM: checkpoint at step {step}")

    # every process at once, as a scheduler does it
    command = begin(arcterm, "resume", "victim", "--plain")
    under_way(arcterm, 3)
    for process in [*processes("arcterm.processes", run), command]:
        process.send_signal(signal.SIGTERM)
    command.communicate(timeout=PATIENCE)
    assert command.returncode == 130
    check(arcterm, run, "SIGTERM: checkpoint at step {step}")

    # while there is nothing to save
    arcterm("resume", "victim", "--detach")
    (supervisor,) = processes("arcterm.processes.supervisor", run)
    supervisor.send_signal(signal.SIGTERM)
    check(arcterm, run, "SIGTERM while loading; nothing is lost")
