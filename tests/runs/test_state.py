"""States, ownership and the lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from arcterm.errors import RunError
from arcterm.files import write_json
from arcterm.launch import start
from arcterm.runs import control, state
from arcterm.runs.state import Owner, read_owner, read_state, write_state


def test_a_live_state_with_a_living_owner_is_what_it_says(run):
    state.take_ownership(run, 1, "local")
    write_state(run, "running", attempt=1, step=7)
    assert (read_state(run).state, read_state(run).step) == ("running", 7)


def test_a_live_state_with_a_dead_owner_is_lost(run):
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    state.take_ownership(run, 1, "local")
    owner = read_owner(run)
    assert owner is not None
    write_state(run, "running", attempt=1)
    for changes in (
        {"pid": child.pid},
        {"pid_start": owner.pid_start + 1},
        {"boot_id": "another", "host": "x"},
    ):
        write_json(
            run.path / "owner.json",
            Owner(**{**{f: getattr(owner, f) for f in owner.__struct_fields__}, **changes}),
        )
        assert read_state(run).state == "lost"
    write_state(run, "done", attempt=1)
    assert read_state(run).state == "done"


@pytest.fixture
def supervisor():
    """A process that may own a run."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def owned_by(run, pid, **changes):
    state.take_ownership(run, 1, "local")
    owner = read_owner(run)
    given = {f: getattr(owner, f) for f in owner.__struct_fields__}
    given |= {"pid": pid, "pid_start": state._pid_start(pid), **changes}
    write_json(run.path / "owner.json", Owner(**given))
    write_state(run, "running", attempt=1)
    state.beat(run)


def silent_for(run, seconds):
    at = time.time() - seconds
    os.utime(run.path / "heartbeat", (at, at))


def test_a_supervisor_that_is_stopped_leaves_a_lost_run_that_says_how_it_goes_on(run, supervisor):
    owned_by(run, supervisor.pid)
    silent_for(run, 600)
    assert read_state(run).state == "running"  # it lives, and this host may just have woken up
    os.kill(supervisor.pid, signal.SIGSTOP)
    os.waitpid(supervisor.pid, os.WUNTRACED)
    state.beat(run)
    assert read_state(run).state == "running"  # not for a moment
    silent_for(run, 30)
    lost = read_state(run)
    assert lost.state == "lost"
    assert f"process {supervisor.pid}, was heard of 30 s ago" in lost.reason
    assert f"`kill -CONT {supervisor.pid}`" in lost.reason
    with pytest.raises(RunError) as raised:
        state.check_resumable(run)
    assert f"`kill -CONT {supervisor.pid}` lets it go on" in raised.value.hint
    with pytest.raises(RunError, match="does nothing"):
        start.stop(run)
    start.stop(run, now=True)
    assert supervisor.wait() == -signal.SIGQUIT


def test_the_pid_of_another_container_is_not_looked_for_in_this_one(run):
    owned_by(run, 999_999_999, pid_start=1, pid_space="pid:[1]")
    assert read_state(run).state == "running"
    silent_for(run, 600)
    assert read_state(run).state == "lost"


def test_an_owner_on_another_host_lives_by_its_heartbeat(run):
    owner = Owner(host="elsewhere", boot_id="b", pid=1, pid_start=1, launcher="local", attempt=1, since=0.0)
    write_json(run.path / "owner.json", owner)
    write_state(run, "running", attempt=1)
    state.beat(run)
    assert read_state(run).state == "running"
    long_ago = time.time() - 600
    os.utime(run.path / "heartbeat", (long_ago, long_ago))
    assert read_state(run).state == "lost"


def test_a_run_whose_supervisor_never_came_is_starting_then_lost(run):
    assert read_state(run).state == "starting"
    long_ago = time.time() - 600
    os.utime(run.path / "run.json", (long_ago, long_ago))
    assert read_state(run).state == "lost"


def test_one_holder_of_the_lock(run):
    with state.lock(run):
        assert state.is_locked(run)
        with pytest.raises(RunError, match="is being run by"), state.lock(run):
            pass
    assert not state.is_locked(run)


def test_requests_are_taken_once_and_strangers_ignored(run):
    first = control.ask(run, "checkpoint")
    second = control.ask(run, "stop")
    (run.path / "control" / "zzz.json").write_text('{"verb": "rm -rf", "t": 0}')
    (run.path / "control" / "half.json").write_text('{"verb": "st')
    assert [(i, r.verb) for i, r in control.pending(run)] == [(first, "checkpoint"), (second, "stop")]
    control.take(run, first)
    assert [r.verb for _, r in control.pending(run)] == ["stop"]
    control.clear(run)
    assert control.pending(run) == []
    assert len(list((run.path / "control" / "done").iterdir())) == 2


def test_a_busy_owner_beats_on(run, monkeypatch):
    monkeypatch.setattr(state, "HEARTBEAT_SECONDS", 0.001)
    state.beat(run)
    silent_for(run, 600)
    with state.beating(run):
        while state.last_beat(run) < time.time() - 60:
            time.sleep(0.001)
