"""``--after``: a job that waits for a run, and may read what that run has yet to write."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import pytest
from arcterm_registry import get

from arcterm.config import job_config
from arcterm.console.forms.job import AFTER, JobDraft, judge_job
from arcterm.launch import engine
from arcterm.runs import state, store
from arcterm.runs.report import read_report
from tests.data.checks import pictures

from ..inprocess import enter


@pytest.fixture
def packing(tmp_path):
    """A job of this process that is to write a pack."""
    root = tmp_path / "runs"
    paths = [tmp_path / "faces", tmp_path / "pack"]
    run = store.create(root, job_config("pack", paths, {}), label="data-pack", argv=[], host="h")
    (run.path / "attempts" / "0001").mkdir()
    state.take_ownership(run, 1, "local")
    state.write_state(run, "running", attempt=1)
    return run


@pytest.fixture
def submitted(monkeypatch, packing):
    """The runs that were started, with the options of their supervisors."""
    found = []
    monkeypatch.setattr(engine, "submit", lambda run, *options: found.append((run, options)))
    monkeypatch.setenv("ARCTERM_RUNS", str(packing.path.parent))
    return found


def test_a_job_is_queued_behind_the_one_that_makes_its_data(
    monkeypatch, submitted, packing, tmp_path, capsys
):
    pack = str(tmp_path / "pack")
    assert enter(monkeypatch, "data", "check", pack, "--after", "last", "--detach") == 0
    ((run, options),) = submitted
    assert options == ("--after", str(packing.path.resolve())) and run.record.config.paths == [pack]
    assert enter(monkeypatch, "data", "check", pack, "--detach") == 3
    state.write_state(packing, "stopped", attempt=1)
    assert enter(monkeypatch, "data", "check", pack, "--after", packing.id, "--detach") == 3
    assert enter(monkeypatch, "data", "check", pack, "--after", "nobody", "--detach") == 4
    assert "there is no run 'nobody'" in capsys.readouterr().err


def test_the_form_waits_for_a_run_too(packing, tmp_path):
    root, pack = packing.path.parent, str(tmp_path / "pack")
    draft = JobDraft("check", get("job", "check"), {"path.src": pack, AFTER.key: "last"})
    assert draft.command() == f"arcterm data check {pack} --after last" and not draft.problems()
    assert judge_job("check", [pack], {}, root, "last").ready
    assert "path.src" in judge_job("check", [pack], {}, root).problems
    assert AFTER.key in judge_job("check", [pack], {}, root, "nobody").problems


@pytest.mark.slow
def test_a_pack_is_made_and_then_checked(tmp_path):
    for person, images in enumerate(pictures()):
        (tmp_path / "faces" / f"p{person}").mkdir(parents=True)
        for number, pixels in enumerate(images):
            cv2.imwrite(str(tmp_path / "faces" / f"p{person}" / f"{number}.png"), pixels)
    env = {**os.environ, "ARCTERM_RUNS": str(tmp_path / "runs")}

    def run(*arguments):
        words = [sys.executable, "-m", "arcterm", *arguments]
        return subprocess.run(words, env=env, capture_output=True, text=True, check=False)

    pack = str(tmp_path / "pack")
    first = run("data", "pack", str(tmp_path / "faces"), pack, "--detach").stdout.strip()
    done = run("data", "check", pack, "--after", first)
    assert done.returncode == 0, done.stderr
    (checked,) = [each for each in store.list_runs(tmp_path / "runs") if each.id != first]
    assert read_report(checked).data["people"]["people"] == 4
