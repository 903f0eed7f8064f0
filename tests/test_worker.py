"""The last word of a rank: written before it leaves the others, which may wait for ranks that wait for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from arcterm.runs.diagnosis import read_exit

from .runs.conftest import run  # noqa: F401

# A rank whose process group is left by all together or by nobody: leaving waits until as many ranks as there
# are have come to it. Only what the rank does is put in place of training.
RANK = """
import os, sys, time
from pathlib import Path
import arcterm.train.loop, arcterm.processes.rank
from arcterm.errors import TrainingError
from arcterm.runs.diagnosis import Exit
from arcterm.train.world import World

def leave():
    Path(os.environ["MEETING"], os.environ["RANK"]).touch()
    while len(os.listdir(os.environ["MEETING"])) < 2:
        time.sleep(0.01)
    if os.environ["LEAVING"] == "fails":
        raise RuntimeError("the group is in ruins")

def train(*given):
    {body}

World.join = classmethod(lambda cls, device, supervised: cls(int(os.environ["RANK"]), 2))
World.leave = staticmethod(leave)
arcterm.train.loop.train = train
sys.exit(arcterm.processes.rank.main())
"""
DONE = "return Exit(reason='done', step=7, t=1.0)"

pytestmark = pytest.mark.long


@pytest.fixture
def rank(run, tmp_path):  # noqa: F811
    """``rank(body)``: a started rank 1 of two that does `body` for training."""
    (tmp_path / "meeting").mkdir()
    run.attempt_dir(1).mkdir(parents=True)
    (run.attempt_dir(1) / "launch.json").write_text('{"argv": [], "env": {}}')
    started = []

    def start(body: str, leaving: str = "works") -> subprocess.Popen[bytes]:
        env = os.environ | {
            "ARCTERM_PARENT_PID": str(os.getpid()),
            "RANK": "1",
            "MEETING": str(tmp_path / "meeting"),
            "LEAVING": leaving,
        }
        command = [sys.executable, "-c", RANK.format(body=body), str(run.path), "1"]
        started.append(subprocess.Popen(command, env=env))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def events(run):  # noqa: F811
    return [json.loads(line) for line in (run.events / "0001-r00001.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ValueError('a mistake')", "ValueError: a mistake"),
        ("sys.exit(3)", "sys.exit(3) was called"),
    ],
)
def test_a_rank_that_fails_ends_at_once_and_has_said_why(run, rank, body, said):  # noqa: F811
    assert rank(body).wait(timeout=60) == 1  # while nobody else comes to leave
    ended = read_exit(run, 1, 1)
    assert ended.reason == "error"
    assert said in ended.error
    assert "in train" in ended.traceback
    assert "in train" in (run.rank_dir(1, 1) / "stderr.log").read_text()
    assert [e["text"] for e in events(run) if e["k"] == "message"] == [f"rank 1: {ended.error}"]


def test_what_a_person_can_act_on_comes_without_a_traceback(run, rank):  # noqa: F811
    assert rank("raise TrainingError('the loss became nan', 'lower --lr')").wait(timeout=60) == 1
    ended = read_exit(run, 1, 1)
    assert (ended.error, ended.hint, ended.traceback) == ("the loss became nan", "lower --lr", "")


def test_what_the_system_refused_is_said_without_a_traceback(run, rank):  # noqa: F811
    body = "raise TrainingError('out cannot be written', 'free space') from OSError(28, 'no space left')"
    assert rank(body).wait(timeout=60) == 1
    assert (read_exit(run, 1, 1).error, read_exit(run, 1, 1).traceback) == ("out cannot be written", "")


def test_what_was_reached_is_written_before_leaving(run, rank):  # noqa: F811
    process = rank(DONE)
    deadline = time.monotonic() + 60
    while read_exit(run, 1, 1) is None:
        assert time.monotonic() < deadline
        assert process.poll() is None
    assert process.poll() is None  # it waits for the other
    assert (read_exit(run, 1, 1).reason, read_exit(run, 1, 1).step) == ("done", 7)
    assert events(run)[-1]["k"] == "end" or events(run)[-2]["k"] == "end"


def test_an_error_in_leaving_takes_nothing_back(run, rank, tmp_path):  # noqa: F811
    (tmp_path / "meeting" / "0").touch()
    assert rank(DONE, leaving="fails").wait(timeout=60) == 0
    assert read_exit(run, 1, 1).reason == "done"
    assert "in ruins" in (run.rank_dir(1, 1) / "stderr.log").read_text()
    assert any("leaving the other ranks failed" in e.get("text", "") for e in events(run))
