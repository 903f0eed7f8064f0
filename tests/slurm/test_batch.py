"""What follows from the end of a job's step: another place in the queue, or the end. No cluster is needed."""

from __future__ import annotations

import signal
import sys

import pytest

from arcterm.errors import RunError
from arcterm.launch.slurm import batch, commands, node
from arcterm.launch.slurm.batch import StepEnd
from arcterm.runs import checkpoints, state
from arcterm.runs.events import Phase
from arcterm.runs.journal import Journal
from arcterm.runs.store import Run
from tests.jobs import make_run
from tests.runs.conftest import run  # noqa: F401

RUNNING = "JobId=7 JobState=RUNNING PreemptTime=None Command=/x\n"
PREEMPTED = "JobId=7 JobState=RUNNING PreemptTime=1796066503 Command=/x\n"
SAVED = {("checkpoint", 0): 10}
CANCELLED = "JobId=7 JobState=COMPLETING PreemptTime=None Command=/x\n"


@pytest.fixture
def asked(monkeypatch):
    """``asked(job=…)``: scontrol says that of the job; the list of what it is asked for."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(batch, "_LEAVING_SECONDS", 0.0)
    words: list[list[str]] = []

    def stand_in(job: str, *, refuses: bool = False):
        def ask(given, **how):
            words.append(list(given))
            if refuses and "requeue" in given:
                raise RunError("scontrol refuses: Requested operation is presently disabled")
            return job

        monkeypatch.setattr(commands, "ask", ask)
        return words

    return stand_in


@pytest.mark.parametrize(
    ("job", "word", "out_of_time", "why"),
    [
        (PREEMPTED, "stopped", False, "preempted"),
        (PREEMPTED, "stopped", True, "preempted"),
        (RUNNING, "stopped", True, "out of time"),
        (RUNNING, "stopped", False, ""),
        (CANCELLED, "stopped", False, ""),
        (PREEMPTED, "done", False, ""),
        (PREEMPTED, "failed", True, ""),
    ],
)
def test_a_stop_that_slurm_asked_for_is_requeued(asked, monkeypatch, run, job, word, out_of_time, why):  # noqa: F811
    asked(job)
    state.write_state(run, word, attempt=1, step=20)
    monkeypatch.setattr(checkpoints, "newest_step", lambda run: 20)
    assert batch.reason_to_requeue(run, StepEnd(130, out_of_time, SAVED)) == why


def test_a_time_that_brought_nothing_is_not_tried_again(asked, monkeypatch, run):  # noqa: F811
    asked(RUNNING)
    monkeypatch.setattr(checkpoints, "newest_step", lambda run: 10)
    state.write_state(run, "stopped", attempt=1, step=10, reason="SIGUSR1")
    assert batch.reason_to_requeue(run, StepEnd(130, True, SAVED)) == ""
    assert state.read_state(run).reason.startswith("SIGUSR1; its time limit brought no new checkpoint")


def job_step(job: Run, attempt: int, *counts: tuple[str, int, int]) -> str:
    """Why a job on ranks is requeued whose time ran out after these phases of (what, done, total)."""
    before = batch._reached(job)
    journal = Journal(job.events, attempt, 0)
    for phase, done, total in counts:
        journal.write(Phase(phase=phase, done=done, total=total))
    journal.close()
    state.write_state(job, "stopped", attempt=attempt, reason="SIGUSR1")
    return batch.reason_to_requeue(job, StepEnd(130, True, before))


def test_a_job_is_tried_again_as_long_as_it_gets_further(asked, tmp_path):
    asked(RUNNING)
    job = make_run(tmp_path, "arcterm:align")
    assert job_step(job, 1, ("looking for photos", 0, 0), ("align", 20, 90)) == "out of time"
    assert job_step(job, 2, ("looking for photos", 0, 0), ("align", 60, 90)) == "out of time"
    assert job_step(job, 3, ("looking for photos", 0, 0), ("align", 60, 90)) == ""
    assert state.read_state(job).reason == (
        "SIGUSR1; its time limit brought no progress, so it was not requeued; give it a longer time"
    )
    assert job_step(job, 4, ("looking for photos", 0, 0)) == ""
    assert job_step(job, 5, ("align", 90, 90), ("writing to disk", 90, 90)) == "out of time"


def test_a_job_that_begins_again_is_not_tried_again(asked, tmp_path):
    asked(RUNNING)
    job = make_run(tmp_path, "arcterm:verify")
    assert job_step(job, 1, ("verify lfw", 5, 90)) == ""
    assert "it would begin again, so it was not requeued" in state.read_state(job).reason


def ended(monkeypatch, run, *srun: str) -> int:  # noqa: F811
    """The exit code of a batch process with this in place of srun."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    monkeypatch.setattr(sys, "argv", ["batch", str(run.path), "--requeue", "--", *srun])
    try:
        return batch.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_preempted_job_goes_back_into_the_queue(asked, monkeypatch, run):  # noqa: F811
    words = asked(PREEMPTED)
    folder = run.attempt_dir(1)
    state.write_state(run, "stopped", attempt=1, step=10, reason="SIGTERM")
    begins = f"import os; os.makedirs({str(folder)!r}); raise SystemExit(130)"
    assert ended(monkeypatch, run, sys.executable, "-c", begins) == 130
    assert ["scontrol", "update", "JobId=7", "Comment=arcterm: preempted"] in words
    assert words[-1] == ["scontrol", "requeue", "7"]


def test_a_requeue_that_is_refused_is_said(asked, run):  # noqa: F811
    asked(PREEMPTED, refuses=True)
    state.write_state(run, "stopped", attempt=1, step=10, reason="SIGTERM")
    assert batch._requeue(run, "preempted", 130) == 130
    said = state.read_state(run).reason
    assert said.startswith("SIGTERM; preempted, and scontrol refuses: Requested operation")
    assert f"arcterm resume {run.id}" in said


def test_a_step_that_never_began_fails_the_run(asked, monkeypatch, run):  # noqa: F811
    asked(RUNNING)
    state.write_state(run, "queued", attempt=1)
    assert ended(monkeypatch, run, sys.executable, "-c", "raise SystemExit(3)") == 3
    told = state.read_state(run)
    assert told.state == "failed"
    assert "srun ended with 3 before the run began" in told.reason
    assert told.failure is not None
    assert told.failure.log.endswith("/slurm/7.out")


def test_a_controller_that_is_away_as_a_job_begins_is_waited_for(asked, monkeypatch, run, tmp_path):  # noqa: F811
    asked(RUNNING)
    answers = iter([commands.SilentError("Slurm does not answer"), RUNNING])

    def ask(words, **how):
        answer = next(answers, RUNNING)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(commands, "ask", ask)
    monkeypatch.setattr(batch, "_PAUSES", (0.0, 0.0))
    folder = run.attempt_dir(1)
    begins = (
        f"import os, pathlib; tried = pathlib.Path({str(tmp_path / 'tried')!r}); first = not tried.exists();"
        f"tried.touch(); first or os.makedirs({str(folder)!r}); raise SystemExit(int(first))"
    )
    state.write_state(run, "queued", attempt=1)
    assert ended(monkeypatch, run, sys.executable, "-c", begins) == 0
    assert state.read_state(run).state != "failed"


def test_no_srun_is_words(asked, monkeypatch, run, capsys):  # noqa: F811
    asked(RUNNING)
    state.write_state(run, "queued", attempt=1)
    assert ended(monkeypatch, run, "/nowhere/srun") == 5
    assert "can't start srun" in capsys.readouterr().err


def test_a_node_is_reached_as_slurm_reaches_it(monkeypatch):
    monkeypatch.setattr(
        commands, "ask", lambda words, **how: "NodeName=n1 NodeAddr=127.0.0.1 NodeHostName=x\n"
    )
    assert node.of_node("n1") == "127.0.0.1"

    def silent(words, **how):
        raise commands.SilentError("Slurm does not answer")

    monkeypatch.setattr(commands, "ask", silent)
    assert node.of_node("localhost") == "127.0.0.1"
