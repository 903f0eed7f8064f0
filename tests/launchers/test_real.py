"""A run from its hand-in to its end, by an engine that runs what it is given at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

SHED = """\
import pathlib, subprocess
from arcterm_registry import Launcher
from arcterm_registry.contracts import EngineState

shed = Launcher(summary="a process of its own", factory="shed:Shed")
started = []

class Shed:
    def check(self, submission): return []
    def describe(self, submission): return " ".join(submission.command)
    def stop(self, id, *, at_once): pathlib.Path(id, "cancelled").touch()
    def logs(self, id): return [pathlib.Path(id, "out")]
    def submit(self, submission):
        place = submission.folder.parent.parent / "shed" / str(len(started))
        place.mkdir(parents=True, exist_ok=True)
        words = ["sh", "-c", '"$@" > out 2>&1; echo $? > code', "sh", *submission.command]
        started.append(subprocess.Popen(words, cwd=place, start_new_session=True))
        return str(place)
    def state(self, ids):
        ended = [pathlib.Path(each, "code").exists() for each in ids]
        return {each: EngineState(state="ended" if over else "running") for each, over in zip(ids, ended)}
"""


@pytest.mark.slow
def test_a_run_of_another_engine_is_watched_to_its_end(distribution, tmp_path):
    site = distribution("shed", entry_points="[arcterm.launchers]\nshed = shed:shed\n", shed=SHED)
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment.pop("ARCTERM_RUNS", None)

    def arcterm(*words):
        command = [sys.executable, "-m", "arcterm", *words, "--json"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    told = arcterm(
        "train", "tiny", "arcface", "--dataset", "synthetic", "--set", "dataset.classes=4", "--steps", "2",
        "--batch-size", "4", "--nproc", "1", "--gpus", "none", "--launcher", "shed", "--name", "far",
    )  # fmt: skip
    assert (told["state"], told["step"]) == ("done", 2)
    told = arcterm("show", "far")
    assert told["engine"]["state"] == "ended"
    (log,) = told["engine"]["logs"]
    assert "far is done" in (tmp_path / "shed" / "0" / "out").read_text() and log.endswith("out")
    assert (tmp_path / "shed" / "0" / "code").read_text() == "0\n"
