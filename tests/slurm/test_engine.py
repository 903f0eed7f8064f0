"""The launcher over commands that stand in for Slurm's: what each is given, and what a refusal becomes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from arcterm.errors import RunError
from arcterm.launch.slurm.engine import Slurm

STAND_IN = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done > "$0.given"
env > "$0.environment"
[ ! -e "$0.stderr" ] || cat "$0.stderr" >&2
[ ! -e "$0.stdout" ] || cat "$0.stdout"
[ ! -e "$0.stderr" ]
"""


class Commands:
    """A folder of programs that note what they are given and print what they are told to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        for name in ("sbatch", "squeue", "scontrol", "scancel", "sinfo", "sacct", "sacctmgr"):
            (folder / name).write_text(STAND_IN)
            (folder / name).chmod(0o700)

    def answer(self, name: str, text: str, *, refuse: bool = False) -> None:
        (self.folder / f"{name}.{'stderr' if refuse else 'stdout'}").write_text(text)

    def given(self, name: str) -> list[str]:
        """The words that a program was last given; none if it was not run."""
        file = self.folder / f"{name}.given"
        return file.read_text().splitlines() if file.exists() else []

    def environment(self, name: str) -> str:
        return (self.folder / f"{name}.environment").read_text()


@pytest.fixture
def commands(tmp_path, monkeypatch):
    made = Commands(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{made.folder}:{os.environ['PATH']}")
    return made


def test_a_submission_is_handed_in_as_words(commands, submission, monkeypatch):
    for name, value in {
        "SBATCH_ACCOUNT": "mine",
        "SBATCH_PARTITION": "slow",
        "SBATCH_ARRAY_INX": "1-9",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SLURM_JOB_ID", "3")
    commands.answer("sbatch", "4711;cluster\n")
    made = submission()
    assert Slurm(partition="gpu").submit(made) == "4711"
    folder = made.folder / "slurm"
    assert commands.given("sbatch") == [
        "--parsable",
        f"--chdir={folder}",
        f"--output={folder}/%j.out",
        f"{folder}/batch.sh",
    ]
    handed = commands.environment("sbatch").splitlines()
    assert "SBATCH_ACCOUNT=mine" in handed
    assert not [line for line in handed if line.startswith(("SBATCH_PARTITION", "SBATCH_ARRAY", "SLURM_JOB"))]
    assert stat.S_IMODE((folder / "batch.sh").stat().st_mode) == 0o600


def test_a_refusal_is_in_sbatchs_own_words(commands, submission):
    commands.answer("sbatch", "sbatch: error: Batch job submission failed: \x1b[1mInvalid qos\n", refuse=True)
    with pytest.raises(RunError, match=r"^sbatch refuses: Batch job submission failed: Invalid qos\n"):
        Slurm().submit(submission())


def test_commands_of_no_cluster_say_so(commands, submission):
    said = "sbatch: error: fetch_config: DNS SRV lookup failed\nsbatch: fatal: Could not establish a "
    commands.answer("sbatch", f"{said}configuration source\n", refuse=True)
    with pytest.raises(RunError, match=r"knows of no cluster\n.*SLURM_CONF"):
        Slurm().submit(submission())


def test_what_is_no_id_is_not_taken_for_one(commands, submission):
    commands.answer("sbatch", "welcome to the cluster\n4711\n")
    with pytest.raises(RunError, match="gave no job's id but 'welcome"):
        Slurm().submit(submission())


@pytest.mark.parametrize(
    ("state", "at_once", "given"),
    [
        ("PENDING", False, ["7"]),
        ("RUNNING", True, ["7"]),
        ("RUNNING", False, ["--signal=TERM", "7"]),
        ("COMPLETED", True, []),
    ],
)
def test_a_waiting_job_is_taken_back_and_one_at_work_is_told(commands, state, at_once, given):
    commands.answer("squeue", f"7|{state}|None|N/A||low|\n")
    Slurm().stop("7", at_once=at_once)
    assert commands.given("scancel") == given


def test_the_log_of_a_job_is_where_slurm_says(commands, tmp_path):
    log = tmp_path / "a b.out"
    commands.answer("scontrol", f"JobId=7 JobName=x\n   StdErr=/x\n   StdOut={log}\n")
    assert Slurm().logs("7") == []
    log.touch()
    assert Slurm().logs("7") == [log]


def test_a_setup_that_is_not_there_and_what_sbatch_would_refuse_are_problems(commands, submission):
    commands.answer("sinfo", "gpu|infinite|2|gpu:8|64\n")
    commands.answer("sbatch", "allocation failure: Invalid feature specification\n", refuse=True)
    (said,) = Slurm(setup="/nowhere/modules.sh").check(submission())
    assert said.startswith("setup: there is no file /nowhere/modules.sh → ")
    (said,) = Slurm(constraint="warp").check(submission())
    assert said == ("Slurm does not take it: Invalid feature specification → change an option launcher.KEY")
    assert commands.given("sbatch")[0] == "--test-only"
    assert "--constraint=warp" in commands.given("sbatch")
