"""The command line's view of a job on data, and of records that a training skips."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from arcterm_registry.contracts import JobReport
from rich.console import Console
from typer.testing import CliRunner

from arcterm.cli.app import build
from arcterm.cli.runs import live, watch
from arcterm.config import TrainConfig, job_config
from arcterm.runs import control, state, store
from arcterm.runs.events import Message, Phase, Skipped
from arcterm.runs.journal import Journal
from arcterm.runs.reading.summary import Summary
from arcterm.runs.report import write_report
from arcterm.runs.state import Failure, read_state

ARCTERM = [sys.executable, "-m", "arcterm"]
TRAINING = TrainConfig(
    backbone="tiny",
    loss="arcface",
    dataset="demo",
    device="cpu",
    nproc=1,
    batch_size=32,
    epochs=4,
    steps=40,
    lr=0.1,
)
SKIPPED = Skipped(
    rank=0, index=17, source="train.rec key 17 at byte 40216", reason="not a whole image", count=3, total=4000
)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("ARCTERM_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def made(root):
    """``made(config, *events)``: a live run of this process that has written `events`."""

    def make(config, *events):
        run = store.create(root, config, label="data-pack", argv=["arcterm"], host="box")
        (run.path / "attempts" / "0001").mkdir()
        state.take_ownership(run, 1, "local")
        state.write_state(run, "running", attempt=1)
        journal = Journal(run.events, 1, 0)
        for event in events:
            journal.write(event)
        journal.close()
        return run

    return make


def pack(done=1200, start=0, **changes):
    """Events of a pack that has reached `done` of 4,000 a second after `start`."""
    told = {"phase": "pack", "total": 4000, **changes}
    return Phase(t=100.0, done=start, **told), Phase(t=101.0, done=done, **told)


JOB = job_config("pack", ["/data/faces", "/data/pack"], {"hold_out": 4})


def arcterm(*words, code=0):
    done = CliRunner().invoke(build(words), list(words))
    assert done.exit_code == code, (done.output, done.exception)
    return done


def lines_of(view, events, capsys, note=""):
    """What a view prints of `events`, one look at a time."""
    summary = Summary()
    for event in events:
        summary.feed([(1, event)])
        view.show(state.State(state="running"), summary, [(1, event)], note)
    out, err = capsys.readouterr()
    assert not out
    return err.splitlines()


# --- lines


def test_lines_tell_phases_at_their_changes_and_every_five_seconds(capsys):
    told = {"phase": "pack", "total": 4000}
    events = [
        Phase(t=100.0, done=0, **told),
        Phase(t=102.0, done=400, **told),
        Phase(t=105.0, done=1000, **told),
        Phase(t=106.0, done=1200, **told),
        Phase(t=120.0, done=4000, **told),
        Phase(t=120.1, done=4000, **told),
        Phase(t=121.0, phase="write", done=7, total=0, detail="heldout.bin"),
    ]
    assert lines_of(watch.JobLines(to_stderr=True), events, capsys) == [
        "pack    0/4,000",
        "pack    1,000/4,000  15 s left",
        "pack    4,000/4,000",
        "write   7 heldout.bin",
    ]


def test_lines_are_safe_and_leave_the_last_word_to_the_end(capsys):
    events = [
        Phase(t=1.0, phase="pa\x1b[2Jck", detail="x\x1b[31my\n", done=1, total=2),
        Message(level="info", text="three files are passed over"),
        Message(level="error", text="rank 0: no such folder"),
    ]
    assert lines_of(watch.JobLines(to_stderr=True), events, capsys) == [
        "pack    1/2 xy",
        "info    three files are passed over",
    ]


def test_lines_name_a_skipped_record(capsys):
    assert lines_of(watch.Lines(to_stderr=True), [SKIPPED], capsys) == [
        "skip    train.rec key 17 at byte 40216: not a whole image (3 of 4,000)"
    ]


# --- drawn


def drawn(view_class, run, events, how="running", note="", width=80):
    summary = Summary()
    summary.feed((1, event) for event in events)
    view = view_class(run)
    picture = view._picture(state.State(state=how), summary, note)
    view.close()
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(picture)
    return console.file.getvalue()


def test_a_job_is_drawn_in_few_lines(made, capsys):
    run = made(JOB)
    text = drawn(live.JobLive, run, pack())
    assert "data pack faces  running" in text
    assert "pack  1,200/4,000  1,200/s  2 s left" in text
    assert "Ctrl-C stops, what is done is kept" in text
    assert len(text.splitlines()) == 3
    text = drawn(live.JobLive, run, [*pack(), Message(level="info", text="one\x1b[2J file passed over")])
    assert "one file passed over" in text
    assert len(text.splitlines()) == 4


def test_what_is_drawn_last_asks_for_nothing(made, capsys):
    text = drawn(live.JobLive, made(JOB), pack(done=4000), how="done")
    assert "4,000/4,000" in text
    assert "Ctrl-C" not in text
    assert "left" not in text
    assert "starting" not in drawn(live.JobLive, made(JOB), [], how="failed")
    assert "its process is starting" in drawn(live.JobLive, made(JOB), [], how="starting")


def test_long_names_keep_a_job_in_its_lines(made, capsys):
    config = job_config("pack", ["/data/" + "n" * 200, "/data/pack"], {})
    text = drawn(live.JobLive, made(config), pack(detail="d" * 200), width=60)
    assert all(len(line) <= 60 for line in text.splitlines())


def test_a_training_draws_what_it_skipped(made, capsys):
    text = drawn(live.Live, made(TRAINING), [SKIPPED])
    assert "3 of 4,000 records skipped" in text
    assert "train.rec key 17 at byte 40216: not a whole image" in text
    assert "skipped" not in drawn(live.Live, made(TRAINING), [])


# --- watching


def finish(run, **changes):
    write_report(run, JobReport(**{"lines": ["packed 4,000 images"], "data": {"n": 4000}, **changes}))
    state.write_state(run, "done", attempt=1)


def test_a_job_ends_with_its_report_and_result(made):
    run = made(JOB, *pack(done=4000))
    finish(run, result="/data/pack")
    done = arcterm("attach", run.id)
    assert done.stdout == "/data/pack\n"
    assert done.stderr.splitlines() == ["pack    0/4,000", "pack    4,000/4,000", "packed 4,000 images"]
    done = arcterm("attach", run.id, "--json")
    assert json.loads(done.stdout) == {"n": 4000}


def test_the_first_seconds_are_watched_closely(made, monkeypatch):
    """What a short job's person waits for its end; later the looks are further apart."""
    run = made(JOB, *pack())
    now, slept = [0.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds
        if now[0] > 10:
            finish(run)

    monkeypatch.setattr(watch.time, "sleep", sleep)
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    watch.watch(run, plain=True, as_json=False, owner=False)
    assert slept[0] <= 0.05
    assert slept[-1] >= 0.2


def test_ctrl_c_stops_a_job_softly_then_at_once(made, monkeypatch):
    run = made(JOB, *pack())
    signalled = []
    monkeypatch.setattr("arcterm.launch.start.os.kill", lambda pid, number: signalled.append(number))
    interrupts = watch._Interrupts(run, owner=True)
    interrupts.handle(2, None)
    assert interrupts.note == "stopping before its next item; Ctrl-C again stops at once"
    assert [request.verb for _, request in control.pending(run)] == ["stop"]
    assert not signalled
    interrupts.handle(2, None)
    assert signalled


# --- runs and show


def test_runs_lists_jobs_beside_trainings(made):
    made(TRAINING)
    finish(made(JOB, *pack(done=4000)), result="/data/my-pack")
    finish(made(job_config("check", ["/data/p"], {}), *pack(phase="records")), problems=3)
    made(JOB)
    rows = arcterm("runs").stdout.splitlines()
    assert any("4000/4000" in row and "my-pack" in row and "done" in row for row in rows)
    assert any("1200/4000" in row and "3 problems" in row for row in rows)
    assert any("0/40 " in row for row in rows)
    told = json.loads(arcterm("runs", "--json").stdout)
    phases = [row.get("phase") for row in told]
    assert {"phase": "records", "detail": "", "done": 1200, "total": 4000} in phases


def test_show_tells_the_report_and_how_to_ask_again(made):
    run = made(JOB, *pack(done=4000))
    finish(run, lines=["packed 4,000\x1b[2J images", "81 look odd"], result="/data/pack")
    text = arcterm("show", run.id).stdout
    assert "command           arcterm data pack /data/faces /data/pack --hold-out 4" in text
    assert "phase             pack 4,000/4,000" in text
    assert text.endswith("packed 4,000 images\n81 look odd\n")
    assert "loss" not in text
    told = json.loads(arcterm("show", run.id, "--json").stdout)
    assert told["report"]["data"] == {"n": 4000}
    assert told["report"]["result"] == "/data/pack"


def test_show_tells_why_a_job_failed_and_what_to_do(made):
    run = made(JOB)
    failure = Failure(rank=0, cause="/data/faces has no people", hint="one folder a person", exit_code=3)
    state.write_state(run, "failed", attempt=1, reason=failure.cause, failure=failure)
    text = arcterm("show", run.id).stdout
    assert "failure           /data/faces has no people" in text
    assert "next step         one folder a person" in text


def test_show_names_skipped_records(made):
    text = arcterm("show", made(TRAINING, SKIPPED).id).stdout
    assert "skipped           train.rec key 17 at byte 40216: not a whole image" in text
    assert "skipped           3 of 4,000 records in all" in text
    assert "\nskipped" not in arcterm("show", made(TRAINING).id).stdout


def test_stop_says_what_a_job_does(made):
    run = made(JOB, *pack())
    assert "before its next item" in arcterm("stop", run.id, "--no-wait").stderr
    assert read_state(run).state == "running"


# --- a real one


@pytest.mark.slow
def test_a_real_job_is_watched_to_its_end(tmp_path):
    import cv2
    import numpy as np

    for person in range(3):
        folder = tmp_path / "faces" / f"p{person}"
        folder.mkdir(parents=True)
        for image in range(4):
            pixels = np.random.default_rng(4 * person + image).integers(0, 255, (112, 112, 3), np.uint8)
            cv2.imwrite(str(folder / f"{image}.jpg"), pixels)
    env = {name: value for name, value in os.environ.items() if name != "ARCTERM_RUNS"}

    def call(*words, code=0):
        done = subprocess.run(
            [*ARCTERM, *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done

    done = call("data", "pack", "faces", "out")
    assert done.stdout.strip() == str(tmp_path / "out")
    assert "pack    12/12" in done.stderr
    assert "12/12" in call("runs").stdout
    assert f"arcterm data pack {tmp_path}/faces {tmp_path}/out" in call("show", "last").stdout
    refused = call("resume", "last", code=4)
    assert "only 1 done job" in refused.stderr
    (tmp_path / "nobody").mkdir()
    failed = call("data", "pack", "nobody", "other", code=3)
    assert "nobody" in failed.stderr
    assert "Traceback" not in failed.stderr
    again = call("resume", "last", code=3)
    assert again.stderr == failed.stderr


def test_options_of_a_detector_may_be_given_one_by_one(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "arcterm.launch.start.job", lambda config, root, **_: asked.append(config) or SimpleNamespace(id="x")
    )
    words = ["align", "/photos", "/faces", "--set", "minsize=40", "--set", "factor=0.8", "--detach"]
    done = CliRunner().invoke(build(words), words)
    assert done.exit_code == 0, done.output
    assert asked == [job_config("align", ["/photos", "/faces"], {"set": "minsize=40,factor=0.8"})]
