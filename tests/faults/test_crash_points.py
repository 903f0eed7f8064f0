"""A save that is killed, or fails, at any system call: no reader ever sees a half-written checkpoint.

A sample of the points is tried here, every one of them by ``make faults``. A save that writes in place is
tried too, and must be caught.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from arcterm.errors import ArctermError
from arcterm.runs import checkpoints, store
from arcterm.runs.store import Run
from tests.runs.conftest import config

pytestmark = pytest.mark.slow

EVERY = os.environ.get("ARCTERM_EVERY_FAULT", "")
SAMPLE = 10**9 if EVERY else 12
ROOT = Path(__file__).resolve().parent.parent.parent
_CALL = re.compile(r"^(?:(\d+) +)?(\w+)\(", re.MULTILINE)


class Saver:
    """The process that forks children to save, and strace, which does something to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0
        command = [sys.executable, "-m", "tests.faults.saving"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        self.template = store.create(folder / "template", config(), label="x", argv=[], host="h")
        for step in (1, 2):
            self.ask(self.template, step, "here")
            assert self.process.stdout.readline() == "saved\n"

    def ask(self, run: Run, step: int, how: str) -> None:
        line = json.dumps({"run": str(run.path), "step": step, "how": how})
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def fresh(self) -> Run:
        """A run with the checkpoints of steps 1 and 2."""
        self.number += 1
        return Run(shutil.copytree(self.template.path, self.folder / f"run-{self.number}"))

    def save(self, run: Run, how: str, *strace: str) -> str:
        """Save step 3 under ``strace …``; returns what the child said."""
        self.ask(run, 3, how)
        pid = int(self.process.stdout.readline())
        until(lambda: status(pid, "State").startswith("T"))
        command = ["strace", "-f", "-qq", *strace, "-p", str(pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
            until(lambda: tracer.poll() is not None or status(pid, "TracerPid") != "0")
            refused = tracer.stderr.read() if tracer.poll() is not None else ""
            if refused:
                os.kill(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGCONT)
            said = json.loads(self.process.stdout.readline())
        if refused:
            pytest.skip(f"processes can't be traced here: {refused}")
        return said


def status(pid: int, key: str) -> str:
    """A line of /proc/PID/status; empty if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith(key))


def until(holds) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture(scope="module")
def saver(tmp_path_factory):
    if shutil.which("strace") is None:
        pytest.skip("strace is not here")
    saver = Saver(tmp_path_factory.mktemp("saver"))
    yield saver
    saver.process.stdin.close()
    saver.process.wait()
    saver.process.stdout.close()


@pytest.fixture(scope="module")
def points(saver):
    """``points("")``: (system call, which one of that name in its thread) of a whole save, or a sample."""

    def found(how: str) -> list[tuple[str, int]]:
        log = saver.folder / f"trace-{how}"
        run = saver.fresh()
        assert saver.save(run, how, "-o", str(log), "-e", "trace=%file,%desc") == "saved"
        seen: Counter[tuple[str, str]] = Counter()
        numbered = []
        for thread, call in _CALL.findall(log.read_text().partition('"saved"')[0].rpartition("\n")[0]):
            seen[thread, call] += 1
            numbered.append((call, seen[thread, call]))
        assert len(numbered) > 20
        return numbered[:: max(1, len(numbered) // SAMPLE)]

    return found


def wrong(run: Run, said: str) -> list[str]:
    """What a reader finds wrong after a save of step 3 that ended so."""
    found = []
    for path in sorted(run.checkpoints.glob("step-*")):
        try:
            checkpoints.check(path)
        except ArctermError as error:
            found.append(error.message)
    newest = checkpoints.newest(run).manifest
    if newest is None or newest.step < (3 if said == "saved" else 2):
        found.append(f"the newest is {newest and newest.step} after {said!r}")
    if said and said != "saved" and list(run.checkpoints.glob(".tmp-*")):
        found.append("the unfinished directory is left")
    return found


def goes_on(saver: Saver, run: Run) -> bool:
    """Whether the next attempt can save, and leaves nothing else."""
    checkpoints.sweep(run)
    saver.ask(run, 4, "here")
    assert saver.process.stdout.readline() == "saved\n"
    return checkpoints.newest(run).manifest.step == 4 and not list(run.checkpoints.glob(".*"))


@pytest.mark.parametrize("how", ["", "background"])
def test_a_save_that_is_killed_at_any_call(saver, points, how):
    outcomes = Counter()
    for call, number in points(how):
        run = saver.fresh()
        said = saver.save(
            run, how, "-o", "/dev/null", "-e", f"trace={call}", "-e", inject(call, "signal=KILL", number)
        )
        assert wrong(run, said) == [], (call, number)
        assert goes_on(saver, run), (call, number)
        outcomes[said] += 1
        shutil.rmtree(run.path)
    assert outcomes[""] >= len(outcomes) / 2, outcomes  # killed indeed


@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EMFILE", "EINTR"])
def test_a_call_that_fails(saver, points, error):
    outcomes = Counter()
    for call, number in points(""):
        run = saver.fresh()
        said = saver.save(
            run, "", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject(call, f"error={error}", number)
        )
        assert said, (call, number)
        assert wrong(run, said) == [], (call, number, said)
        assert goes_on(saver, run), (call, number, said)
        outcomes[said.partition(":")[0]] += 1
        shutil.rmtree(run.path)
    print(error, outcomes)
    assert len(outcomes) > 1 or error == "EINTR", outcomes


def test_a_save_in_place_is_caught(saver, points):
    caught = 0
    for call, number in points("naive"):
        run = saver.fresh()
        said = saver.save(
            run, "naive", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject(call, "signal=KILL", number)
        )
        caught += bool(wrong(run, said))
        shutil.rmtree(run.path)
    assert caught


def inject(call: str, what: str, number: int) -> str:
    return f"inject={call}:{what}:when={number}"
