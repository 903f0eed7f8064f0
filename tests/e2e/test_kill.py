"""SIGKILL to a rank, the launcher, the supervisor: the run goes on by itself, or says what happened."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from arcterm.runs import store
from arcterm.runs.events import Message
from arcterm.runs.reader import Reader
from arcterm.runs.reading.summary import Summary
from tests.e2e.conftest import PATIENCE

pytestmark = pytest.mark.slow


TRAIN = (
    "train", "plain", "cosface", "--nproc", "2", "--batch-size", "6", "--steps", "200",
    "--checkpoint-every", "10",
)  # fmt: skip


@pytest.fixture
def running(arcterm, pack, request):
    """A run past its first checkpoint that is not launched again, of two ranks by default; its supervisor."""
    ranks = ("--nproc", str(request.param)) if hasattr(request, "param") else ()
    arcterm(*TRAIN, *ranks, "--dataset", str(pack), "--name", "victim", "--retries", "0", "--detach")
    told = arcterm.wait("victim", lambda told: told["checkpoints"] and told["step"] < 150)
    assert told["state"] == "running"
    (supervisor,) = processes("arcterm.processes.supervisor", told["path"])
    yield supervisor
    for process in processes("arcterm", told["path"]):
        process.kill()


def processes(module: str, run: str) -> list[psutil.Process]:
    """Living processes of a run that execute `module`."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if run in words and any(word.startswith(module) for word in words):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def gone(run: str) -> bool:
    """No rank is left now that the state says so, and the supervisor, which said it, ends on its own."""
    if processes("arcterm.processes.rank", run) or processes("arcterm.processes.agent", run):
        return False
    deadline = time.monotonic() + PATIENCE
    while processes("arcterm.", run):
        if time.monotonic() > deadline:
            return False
    return True


def continue_and_check(arcterm, run: str):
    """Resume; the curve goes on from the last checkpoint without a gap or a repeat."""
    last = arcterm.show("victim")["checkpoints"][-1]["step"]
    told = arcterm.json("resume", "victim")
    assert (told["state"], told["step"], told["attempt"]) == ("done", 200, 2)
    reader = Reader(store.Run(Path(run)), check=True)
    summary = Summary()
    summary.feed(reader.events())
    assert summary.starts[0].step == last
    assert list(summary.steps) == list(range(1, 201))
    reader.refresh()
    assert reader.essentials.corrupt == 0


def digests(told) -> dict[str, str]:
    """SHA-256 of the files of a run's last checkpoint."""
    manifest = json.loads((Path(told["checkpoints"][-1]["path"]) / "manifest.json").read_text())
    return {name: digest["sha256"] for name, digest in manifest["files"].items()}


def test_a_run_goes_on_by_itself_and_ends_in_the_same_bits(arcterm, pack):
    train = (*TRAIN, "--dataset", str(pack), "--set", "hang_seconds=3")
    arcterm(*train, "--name", "victim", "--detach")
    run = arcterm.show("victim")["path"]

    def further(attempt: int) -> list[psutil.Process]:
        """The ranks of an attempt that has saved something."""
        since = arcterm.wait("victim", lambda told: told["attempt"] == attempt)
        saved = len(since["checkpoints"]) and since["checkpoints"][-1]["step"]
        arcterm.wait("victim", lambda told: told["checkpoints"] and told["checkpoints"][-1]["step"] > saved)
        return processes("arcterm.processes.rank", run)

    next(rank for rank in further(1) if rank.environ()["RANK"] == "1").kill()
    further(2)
    processes("arcterm.processes.agent", run)[0].kill()
    stopped = next(rank for rank in further(3) if rank.environ()["RANK"] == "1")
    stopped.suspend()
    told = arcterm.json("attach", "victim")
    assert (told["state"], told["step"], told["attempt"]) == ("done", 200, 4)
    assert gone(run)
    killed, orphaned, hung, _ = told["attempts"]
    assert [end["state"] for end in told["attempts"]] == ["failed", "failed", "failed", "done"]
    assert (killed["failure"]["rank"], killed["failure"]["signal"]) == (1, "SIGKILL")
    assert "the launcher was killed (SIGKILL)" in orphaned["reason"]
    assert f"rank 1 (process {stopped.pid}) is stopped (SIGSTOP): no step for " in hung["reason"]
    assert "state T, wait channel" in hung["failure"]["traceback"]
    assert "in _steps" in (Path(run) / "attempts" / "0003" / "rank-00000" / "stack.txt").read_text()
    shown = arcterm("show", "victim").stdout
    assert "attempt 1         failed at step" in shown
    reader = Reader(store.Run(Path(run)), check=True)
    summary = Summary()
    events = list(reader.events())
    summary.feed(events)
    assert list(summary.steps) == list(range(1, 201))
    texts = [event.text for _, event in events if isinstance(event, Message)]
    assert any(text.startswith("relaunched from step ") and "SIGKILL" in text for text in texts)
    undisturbed = arcterm.json(*train, "--name", "undisturbed", "--plain")
    assert digests(undisturbed) == digests(told)


FAULTY = """
import os, sys, time
from dataclasses import dataclass
from arcterm_registry import Loss
from arcterm_registry.contracts import Margin

@dataclass(kw_only=True)
class Faulty(Margin):
    def target(self, t, norm, step):
        attempt = int(sys.argv[2])
        if os.environ["RANK"] == "1":
            if (attempt, step) == (1, 30):
                time.sleep(3600)
            if attempt > 1 and step == 50:
                os._exit(0)
        return t - 0.35

faulty = Loss(summary="x", factory="faulty:Faulty", options=())
"""


def test_a_plug_in_that_sleeps_is_named_and_one_that_leaves_twice_at_one_step_is_given_up(
    arcterm, pack, distribution
):
    site = distribution("faulty", entry_points="[arcterm.losses]\nfaulty = faulty:faulty\n", faulty=FAULTY)
    arcterm.env["PYTHONPATH"] = f"{site}{os.pathsep}{arcterm.env['PYTHONPATH']}"
    train = ("train", "plain", "faulty", *TRAIN[3:], "--dataset", str(pack), "--set", "hang_seconds=3")
    shown = arcterm(*train, "--name", "victim", "--plain", code=5)
    assert "failed on rank 1: the rank ended without a word" in shown.stderr
    assert "it ended so twice at step 49" in shown.stderr and "arcterm resume" in shown.stderr
    told = arcterm.show("victim")
    hung, left, again = told["attempts"]
    assert "hangs in faulty.py, line 13, target: no step for" in hung["reason"]
    assert hung["step"] == 29 and "in target" in hung["failure"]["traceback"]
    assert "called os._exit" in left["reason"] and left["step"] == again["step"] == 49
    assert "relaunched from step 20: rank 1" in shown.stdout
    assert "relaunched from step 40: the rank ended without a word" in shown.stdout
    assert gone(told["path"])


@pytest.mark.parametrize("running", [1], indirect=True)
def test_a_killed_supervisor_leaves_a_lost_run_and_no_process(arcterm, running):
    run = arcterm.show("victim")["path"]
    below = running.children(recursive=True)
    assert [process.ppid() for process in processes("arcterm.processes.rank", run)] == [running.pid]
    os.kill(running.pid, signal.SIGKILL)
    psutil.wait_procs(below, timeout=30)
    assert gone(run)
    lost = arcterm.show("victim")
    assert lost["state"] == "lost"
    assert "arcterm resume" in lost["reason"]
    continue_and_check(arcterm, run)


def test_stop_now_ends_at_once_and_a_second_supervisor_is_refused(arcterm, running):
    refused = arcterm("resume", "victim", code=4)
    assert "is running" in refused.stderr
    assert "is being run" in arcterm("rm", "victim", "--yes", code=4).stderr
    told = arcterm.json("stop", "victim", "--now")
    assert told["state"] == "stopped"
    assert gone(told["path"])
    assert "nothing to stop" in arcterm("stop", "victim", code=4).stderr
