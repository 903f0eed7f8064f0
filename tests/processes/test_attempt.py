"""Watching an attempt and explaining its end, with sleeping processes in place of the agent and its ranks."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import msgspec
import pytest

from arcterm.files import read_json, write_json
from arcterm.processes import attempt as attempts
from arcterm.processes import command
from arcterm.processes.attempt import Attempt, StopAsked
from arcterm.processes.hosts import crew
from arcterm.processes.hosts.place import HostPlace
from arcterm.processes.supervisor import Supervisor
from arcterm.runs import control, history, pulse, state, store
from arcterm.runs.checkpoints import MANIFEST, Newest, name_of
from arcterm.runs.diagnosis import AgentReport, AttemptEnd, Exit, read_ends
from arcterm.runs.pulse import PHASES
from arcterm.runs.state import Failure
from arcterm.runs.store import Run

from ..runs.conftest import config, run  # noqa: F401


def sleeping() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])


class Ranks:
    """An attempt whose agent sleeps, and the beats of its ranks."""

    def __init__(self, run: Run) -> None:  # noqa: F811
        self.run = run
        self.asked = StopAsked()
        self.attempt = Attempt(run, 1, self.asked)
        self.attempt._crew = crew.Crew(run, 1, HostPlace(ranks=range(2)))
        self.attempt._crew._process = sleeping()
        self.ranks = [sleeping(), sleeping()]
        state.take_ownership(run, 1, "local")

    def beat(self, phase: str, step: int) -> None:
        for rank, process in enumerate(self.ranks):
            folder = self.run.rank_dir(1, rank)
            folder.mkdir(parents=True, exist_ok=True)
            data = pulse._LAYOUT.pack(process.pid, PHASES.index(phase), step, time.monotonic())
            (folder / "pulse").write_bytes(data)

    def saved(self, step: int) -> None:
        (self.run.checkpoints / name_of(step)).mkdir()
        (self.run.checkpoints / name_of(step) / MANIFEST).write_text("{}")

    def stop(self) -> None:
        self.asked.name, self.asked.at = "SIGTERM", time.monotonic()

    def end(self) -> AttemptEnd:
        cut = self.attempt.watch(lambda: None)
        for process in (self.attempt._crew._process, *self.ranks):
            process.kill()
            process.wait()
        return self.attempt.conclude(cut)


@pytest.fixture
def ranks(run, monkeypatch):  # noqa: F811
    """Ranks whose run has a grace of almost nothing."""
    monkeypatch.setattr(attempts, "TICK_SECONDS", 0.01)
    write_json(run.path / "run.json", msgspec.structs.replace(run.record, config=config(grace=1.0)))
    made = Ranks(Run(run.path))
    yield made
    for process in (made.attempt._crew._process, *made.ranks):
        process.kill()
        process.wait()


@pytest.fixture
def alone(tmp_path, monkeypatch):
    """``alone(code, began)``: how an attempt of one rank ends that runs `code`, at work or before."""
    made = store.create(tmp_path / "runs", config(nproc=1), label="x", argv=[], host="h")

    def end(code: str, began: bool) -> AttemptEnd:
        attempt = Attempt(made, 1, StopAsked())
        (made.rank_dir(1, 0) if began else made.attempt_dir(1)).mkdir(parents=True)
        assert command.argv(made, 1)[2] == "arcterm.processes.rank"
        monkeypatch.setattr(command, "argv", lambda *given: [sys.executable, "-S", "-c", code])
        (made.attempt_dir(1) / "agent.log").write_text("ModuleNotFoundError: no torch\n")
        attempt.start(tmp_path, Newest(None, None, {}), [])
        return attempt.conclude(attempt.watch(lambda: None))

    end.folder = made.attempt_dir(1)
    return end


@pytest.mark.parametrize(
    ("phase", "step", "says"),
    [
        ("loading", 0, "SIGTERM while loading; nothing is lost"),
        ("compile", 40, "SIGTERM while compiling; nothing is lost"),
        ("verify", 40, "SIGTERM while verifying; nothing is lost"),
    ],
)
def test_where_all_is_saved_a_stop_does_not_wait(ranks, phase, step, says):
    ranks.saved(40)
    ranks.beat(phase, step)
    ranks.stop()
    ended = ranks.end()
    assert (ended.state, ended.step, ended.reason) == ("stopped", 40, says)
    assert [request.verb for _, request in control.pending(ranks.run)] == ["stop"]
    assert state.read_state(ranks.run).state == "stopping"


@pytest.mark.long
def test_the_grace_ends_a_training_that_does_not_save(ranks):
    ranks.saved(40)
    ranks.beat("training", 57)
    ranks.stop()
    ended = ranks.end()
    assert (ended.state, ended.step) == ("stopped", 57)
    assert ended.reason == "SIGTERM, and no checkpoint within 1 s; steps 41 to 57 are lost"


def test_at_once_is_at_once(ranks):
    ranks.beat("training", 57)
    ranks.asked.at_once = True
    assert ranks.end().reason == "stopped at once; nothing was saved yet"


def test_ranks_and_an_agent_that_outlive_a_rank_are_ended(ranks, monkeypatch):
    monkeypatch.setattr(crew, "LEFT_SECONDS", -1.0)
    monkeypatch.setattr(crew, "_AGENT_SECONDS", -1.0)
    ranks.beat("training", 57)
    ranks.ranks[1].kill()
    ranks.ranks[1].wait()
    ranks.attempt._crew._process.send_signal(signal.SIGSTOP)
    ended = ranks.end()
    assert (ended.state, ended.step) == ("failed", 57)
    assert ranks.ranks[0].returncode == ranks.attempt._crew._process.returncode == -signal.SIGKILL


def test_ranks_that_have_left_well_leave_a_run_that_is_done(ranks, monkeypatch):
    monkeypatch.setattr(crew, "_AGENT_SECONDS", -1.0)
    ranks.beat("training", 100)
    for rank, process in enumerate(ranks.ranks):
        write_json(ranks.run.rank_dir(1, rank) / "exit.json", Exit(reason="done", step=100, t=1.0))
        process.kill()
        process.wait()
    ended = ranks.end()
    assert (ended.state, ended.step, ended.failure) == ("done", 100, None)


@pytest.mark.parametrize(
    ("body", "began", "says", "fallen"),
    [
        ("os.kill(os.getpid(), 9)", True, "rank 0 ended by SIGKILL", [-9]),
        ("os.kill(os.getpid(), 11)", False, "rank 0 ended by SIGSEGV", [-11]),
        ("os._exit(3)", True, "the rank ended before it could say why", [3]),
        ("os._exit(0)", True, "something in it called os._exit", None),
        # the log of what could not even begin is that of the supervisor
        ("os._exit(1)", False, "the launcher failed: ModuleNotFoundError: no torch", None),
    ],
)
def test_a_rank_that_is_alone_needs_no_agent_to_be_missed(alone, body, began, says, fallen):
    ended = alone(f"import os; {body}", began)
    assert ended.state == "failed"
    assert says in ended.reason
    report = alone.folder / "failure.json"
    assert report.exists() == (fallen is not None)
    if fallen:
        (found,) = read_json(report, AgentReport).ranks
        assert (found.rank, [found.exit_code]) == (0, fallen)


def test_a_stop_that_meets_a_failure_from_outside_is_a_stop(ranks):
    ranks.saved(40)
    ranks.beat("training", 57)
    control.ask(ranks.run, "stop")
    ranks.attempt._crew._process.kill()
    ended = ranks.end()
    assert ended.state == "stopped"
    assert ended.reason == "stop asked, and the launcher was killed (SIGKILL); steps 41 to 57 are lost"


@pytest.fixture
def supervised(run, monkeypatch):  # noqa: F811
    """``supervised(ends)``: a supervisor whose attempts end so, without any process."""
    monkeypatch.setattr("arcterm.processes.supervisor.log_into", lambda folder: folder.mkdir(parents=True))
    run.attempt_dir(1).mkdir(parents=True)

    def supervise(*failures: Failure | None) -> tuple[Supervisor, AttemptEnd]:
        supervisor = Supervisor(run, 1, StopAsked())
        left = list(failures)

        def once() -> AttemptEnd:
            failure = left.pop(0)
            return supervisor.attempt.end("failed" if failure else "done", step=10, failure=failure)

        monkeypatch.setattr(supervisor, "_once", once)
        return supervisor, supervisor._attempts()

    return supervise


KILLED = Failure(rank=1, cause="rank 1 ended by SIGKILL", signal="SIGKILL")


def test_attempts_follow_each_other_and_are_kept(run, supervised):  # noqa: F811
    supervisor, ended = supervised(KILLED, None)
    assert (ended.state, ended.attempt, supervisor.attempt.number) == ("done", 2, 2)
    assert [(end.attempt, end.state) for end in read_ends(run)] == [(1, "failed"), (2, "done")]
    assert supervisor.notes == ["relaunched from step 0: rank 1 ended by SIGKILL"]
    assert (state.read_state(run).state, state.read_owner(run).attempt) == ("starting", 2)


def test_half_the_rate_is_tried_where_a_rank_says_that_it_may_help(run, supervised):  # noqa: F811
    run.rank_dir(1, 0).mkdir()
    write_json(run.rank_dir(1, 0) / "exit.json", Exit(reason="error", error="loss is nan", remedy="lower-lr"))
    nan = Failure(rank=0, cause="loss is nan", repeats=True)
    supervisor, ended = supervised(nan, nan)
    assert (ended.state, ended.attempt) == ("failed", 2)  # the second has no remedy
    assert run.config.lr == 0.05
    (change,) = history.read(run)
    assert (change.why, change.settings) == ("lower-lr: loss is nan", {"lr": [0.1, 0.05]})
    assert supervisor.notes == ["relaunched from step 0 with lr 0.05: loss is nan"]


def test_what_repeats_is_left(run, supervised):  # noqa: F811
    _, ended = supervised(Failure(rank=0, cause="ValueError: x", repeats=True))
    assert (ended.state, ended.attempt, ended.reason) == ("failed", 1, "ValueError: x")
    assert not run.attempt_dir(2).exists()


def test_an_attempt_has_the_ranks_that_the_config_has_at_its_start(run, tmp_path, monkeypatch):  # noqa: F811
    attempt = Attempt(run, 1, StopAsked())
    run.attempt_dir(1).mkdir(parents=True, exist_ok=True)
    # a resume's change is taken over after the supervisor has made its first attempt
    history.record(run, msgspec.structs.replace(run.config, nproc=3), "resume --nproc 3", 0)
    monkeypatch.setattr(command, "argv", lambda *given: [sys.executable, "-S", "-c", ""])
    attempt.start(tmp_path, Newest(None, None, {}), [])
    assert attempt.watch(lambda: None) == ""
    assert list(attempt._crew.place.ranks) == [0, 1, 2]
