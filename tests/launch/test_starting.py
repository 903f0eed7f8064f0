"""Starting, resuming and stopping when the supervisor does not come up, is gone, or is somewhere else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import psutil
import pytest

from arcterm.cli.runs import stop as cli
from arcterm.cli.runs.watch import RunFailedError, watch
from arcterm.config import job_config
from arcterm.errors import RunError, StartError
from arcterm.files import write_json
from arcterm.launch import engine, local, start
from arcterm.launch.resume import resumption
from arcterm.processes import detached
from arcterm.processes.attempt import StopAsked
from arcterm.processes.supervisor import Supervisor
from arcterm.runs import control, state, store
from arcterm.runs.state import Owner, read_state, write_state
from arcterm.runs.store import Run

from ..runs.conftest import config

GONE = Owner(host="elsewhere", boot_id="b", pid=1, pid_start=1, launcher="local", attempt=1, since=0.0)


@pytest.fixture
def interpreter(tmp_path, monkeypatch):
    """``interpreter(body)``: a Python that runs `body` whatever it is asked for."""

    def install(body: str) -> None:
        path = tmp_path / "python"
        path.write_text(f"#!{sys.executable}\nimport os, sys, time\n{body}\n")
        path.chmod(0o700)
        monkeypatch.setattr("arcterm.launch.engine.sys.executable", str(path))

    return install


# --- a supervisor that does not come up


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(\"No module named 'msgspec'\")", "No module named 'msgspec'"),
        ("os.write(int(sys.argv[6]), b'no room for owner.json')", "no room for owner.json"),
        ("os.kill(os.getpid(), 9)", "it ended with -9 and left no word"),
    ],
)
def test_a_start_ends_with_the_last_words(run, interpreter, body, said):
    interpreter(body)
    with pytest.raises(StartError) as raised:
        engine.submit(run)
    assert said in raised.value.message
    assert raised.value.exit_code == 5
    told = read_state(run)
    assert (told.state, told.attempt) == ("failed", 1)
    assert said in told.reason
    with pytest.raises(RunFailedError, match="did not start"):
        watch(run, plain=True, as_json=False, owner=False)
    assert not state.is_locked(run)
    state.check_resumable(run)


def test_a_supervisor_that_can_not_write_says_so(run):
    (run.path / "owner.json").mkdir()
    with pytest.raises(StartError, match="Is a directory"):
        engine.submit(run)


def test_a_supervisor_on_a_full_disk_says_so_to_who_started_it(run):
    (run.path / "owner.json").mkdir()
    hearing, telling = os.pipe()
    with state.lock(run) as lock, Path("/dev/full").open("w") as full, os.fdopen(hearing, "rb") as ear:
        command = [
            sys.executable,
            "-m",
            "arcterm.processes.supervisor",
            str(run.path),
            "1",
            str(lock),
            str(telling),
        ]
        subprocess.run(command, stderr=full, pass_fds=(lock, telling), check=False)
        os.close(telling)
        assert b"Is a directory" in ear.read()


def test_a_lost_run_on_a_full_disk_says_so(lost, monkeypatch):
    assert "the disk is full" not in read_state(lost).reason
    monkeypatch.setattr(state, "_FULL_BYTES", 1 << 62)
    assert "and the disk is full; `arcterm resume" in read_state(lost).reason


def test_a_run_that_could_not_be_made_leaves_nothing(tmp_path, monkeypatch):
    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "create_json", full)
    with pytest.raises(RunError, match="No space left"):
        store.create(tmp_path / "runs", config(), label="x", argv=[], host="h")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_supervisor_that_hangs_is_given_up(run, interpreter, monkeypatch):
    interpreter("time.sleep(600)")
    monkeypatch.setattr(local, "_PATIENCE_SECONDS", 0.1)
    with pytest.raises(StartError, match="it was not up after"):
        engine.submit(run)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda run: (run.path / "attempts").rmdir() or (run.path / "attempts").touch(), "attempts"),
        (lambda run: (run.path / "lock").unlink() or (run.path / "lock").mkdir(), "lock"),
    ],
)
def test_a_run_that_can_not_be_written_is_words(run, damage, said):
    damage(run)
    with pytest.raises(RunError, match=f"can't start {run.id}.*{said}"):
        engine.submit(run)


def test_no_python_is_words(run, monkeypatch):
    monkeypatch.setattr("arcterm.launch.engine.sys.executable", "/no/such/python")
    with pytest.raises(RunError, match="No such file"):
        engine.submit(run)


def test_a_run_that_never_started_is_watched_to_an_end(run):
    os.utime(run.path / "run.json", (0, 0))
    run.attempt_dir(1).mkdir()
    (run.attempt_dir(1) / "agent.log").write_text("Traceback\nModuleNotFoundError: no psutil\n\n")
    with pytest.raises(RunFailedError, match="never started: ModuleNotFoundError: no psutil"):
        watch(run, plain=True, as_json=False, owner=False)


# --- several that start it


@pytest.mark.slow
def test_of_several_resumes_one_succeeds(tmp_path):
    for person in "ab":
        (tmp_path / "faces" / person).mkdir(parents=True)
        for image in range(2):
            cv2.imwrite(
                str(tmp_path / "faces" / person / f"{image}.png"), np.full((112, 112, 3), 9, np.uint8)
            )
    config = job_config("pack", [str(tmp_path / "faces"), str(tmp_path / "out")], {})
    job = store.create(tmp_path / "runs", config, label="data-pack", argv=[], host="h")
    write_state(job, "stopped", attempt=0)
    command = [sys.executable, "-m", "arcterm", "resume", job.id, "--runs-dir", str(tmp_path / "runs")]
    racing = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    said = [process.communicate(timeout=120)[1] for process in racing]
    codes = [process.returncode for process in racing]
    assert sorted(codes) == [0, 4, 4, 4], said
    for code, text in zip(codes, said, strict=True):
        assert code == 0 or f"arcterm: {job.id} is " in text
    assert job.attempts() == 1
    assert read_state(job).state == "done"


def test_the_lock_goes_to_the_supervisor_without_a_gap(run, interpreter):
    interpreter("os.write(int(sys.argv[6]), b'ready'); os.close(int(sys.argv[6])); time.sleep(600)")
    pid = int(engine.submit(run))
    try:
        with pytest.raises(RunError, match="is being run by another process"):
            engine.submit(run)
        assert run.attempts() == 1
    finally:
        psutil.Process(pid).kill()
        detached._started.pop().wait()
    assert not state.is_locked(run)


# --- a supervisor that is gone


@pytest.fixture
def lost(run):
    """A run whose supervisor is gone."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    state.take_ownership(run, 1, "local")
    owner = state.read_owner(run)
    assert owner is not None
    fields = {name: getattr(owner, name) for name in owner.__struct_fields__}
    write_json(run.path / "owner.json", Owner(**fields | {"pid": child.pid}))
    write_state(run, "running", attempt=1, step=7)
    return run


def orphan(run, program):
    """A process that looks like one of `run`'s."""
    words = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", "-m"]
    process = subprocess.Popen(
        [*words, f"arcterm.processes.{program}", str(run.path), "1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    return process


@pytest.mark.parametrize("program", ["agent", "rank", "solo"])
def test_stop_now_ends_what_outlived_the_supervisor(lost, tmp_path, program):
    other = store.Run(tmp_path / "runs" / f"{lost.id}-other")
    mine, foreign = orphan(lost, program), orphan(other, program)
    try:
        with pytest.raises(RunError, match=r"is lost.*\n.*stop .* --now"):
            start.stop(lost)
        assert "1 process that outlived it was ended" in start.stop(lost, now=True)
        mine.wait(timeout=30)
        assert foreign.poll() is None
    finally:
        for process in (mine, foreign):
            process.kill()
            process.communicate()
    told = read_state(lost)
    assert (told.state, told.step) == ("stopped", 7)
    assert "outlived" in told.reason
    with pytest.raises(RunError, match="nothing to stop"):
        start.stop(lost, now=True)


def test_stop_now_says_if_nothing_is_alive(lost):
    assert "nothing of the run was alive" in start.stop(lost, now=True)
    assert read_state(lost).state == "stopped"


def test_stop_now_of_a_run_whose_supervisor_never_came(run):
    assert "nothing of the run was alive" in start.stop(run, now=True)
    assert read_state(run).state == "stopped"


def test_stop_now_does_not_wait_forever_for_a_supervisor_that_hangs(run, monkeypatch):
    state.take_ownership(run, 1, "local")
    write_state(run, "running", attempt=1)
    monkeypatch.setattr("arcterm.launch.start.os.kill", lambda pid, number: None)
    monkeypatch.setattr(cli, "_AT_ONCE_SECONDS", 0.0)
    with pytest.raises(RunError, match=f"process {os.getpid()}, hangs"):
        cli.stop(run.id, now=True, wait=True, runs_dir=run.path.parent)


# --- a supervisor on another host


@pytest.fixture
def far(run):
    """A run on another host, which was heard of 50 seconds ago."""
    write_json(run.path / "owner.json", GONE)
    write_state(run, "running", attempt=1)
    state.beat(run)
    heard = time.time() - 50
    os.utime(run.path / "heartbeat", (heard, heard))
    return run


def test_resume_says_how_long_a_silent_host_is_believed(far):
    with pytest.raises(RunError, match=r"on elsewhere, which was heard of 5\d s ago") as raised:
        resumption.prepare(far).start()
    assert f"`arcterm resume {far.id} --wait`" in raised.value.hint
    assert " more" in raised.value.hint
    with pytest.raises(RunError, match="runs on elsewhere"):
        start.stop(far, now=True)


def test_resume_waits_for_a_silent_host(far, monkeypatch):
    slept, said = [], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        # time goes on ten seconds at a time, for the file's age alone
        monkeypatch.setattr(state, "_STALE_SECONDS", state._STALE_SECONDS - 10)

    monkeypatch.setattr("arcterm.launch.resume.resumption.time.sleep", sleep)
    resumption.wait_until_free(far, said.append)
    assert slept
    assert len(said) == 1
    assert "waiting for elsewhere" in said[0]
    assert read_state(far).state == "lost"
    assert "the supervisor on elsewhere is silent" in read_state(far).reason
    assert "elsewhere is silent" in start.stop(far, now=True)


def test_resume_does_not_wait_for_a_host_that_is_heard_of(far, monkeypatch):
    monkeypatch.setattr("arcterm.launch.resume.resumption.time.sleep", lambda seconds: state.beat(far))
    resumption.wait_until_free(far, lambda text: None)
    with pytest.raises(RunError, match=r"heard of 0 s ago"):
        resumption.prepare(far).start()


def test_resume_waits_for_a_run_that_is_stopping_here(run, monkeypatch):
    state.take_ownership(run, 1, "local")
    write_state(run, "stopping", attempt=1)
    said = []

    def sleep(seconds: float) -> None:
        state.beat(run)
        write_state(run, "stopped", attempt=1)

    monkeypatch.setattr("arcterm.launch.resume.resumption.time.sleep", sleep)
    resumption.wait_until_free(run, said.append)
    assert said == ["waiting for its end"]
    state.check_resumable(run)


def test_resume_does_not_wait_for_a_run_that_lives_here(run):
    state.take_ownership(run, 1, "local")
    write_state(run, "running", attempt=1)
    resumption.wait_until_free(run, pytest.fail)


def test_the_end_at_once_reaches_the_supervisor_of_several_hosts_from_any_of_them(far):
    made = far.record
    several = msgspec.structs.replace(made.config, hosts=2, nproc=2, gpus=[])
    write_json(far.path / "run.json", msgspec.structs.replace(made, config=several))
    there = Run(far.path)
    assert start.stop(there, now=True) == f"asked {there.name} on elsewhere to stop at once"
    supervisor = Supervisor(there, 1, StopAsked())
    supervisor._beat()
    assert supervisor.asked.at_once
    control.clear(there)
    assert not control.is_end_asked(there)
