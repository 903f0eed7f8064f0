"""Commands about runs: which run ``last`` is, and what a damaged one costs."""

from __future__ import annotations

import io
import json
import os

import pytest
from arcterm_registry.contracts import JobReport
from rich.console import Console

from arcterm.cli.runs import live
from arcterm.config import JobConfig
from arcterm.launch import engine
from arcterm.runs import control, state, store
from arcterm.runs.events import Gpu, Gpus, Rank
from arcterm.runs.journal import Journal
from arcterm.runs.reader import Reader
from arcterm.runs.report import write_report
from tests.inprocess import in_process

from ..runs.conftest import config
from ..runs.test_checkpoints import save


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr), in an empty folder, nothing of it started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    monkeypatch.setattr(engine, "submit", lambda run: state.write_state(run, "done", attempt=1))

    return in_process(monkeypatch, capsys)


@pytest.fixture
def make(tmp_path):
    """``make(config, "done", name="a")``: a newer run in ``runs``."""

    def run(job, now, **changes):
        made = store.create(tmp_path / "runs", job, label="x", argv=[], host="h", **changes)
        state.take_ownership(made, 1, "local")
        state.write_state(made, now, attempt=1)
        (made.path / "attempts" / "0001").mkdir()
        return made

    return run


CHECK = JobConfig(name="check", group="data", paths=["/pack"])


def test_verify_without_a_run_takes_the_newest_training_with_a_checkpoint(arcterm, make, tmp_path):
    training = make(config(), "done")
    save(training, 7)
    make(CHECK, "done")
    for count in (3, 4):
        code, _, err = arcterm(*["verify", "last"][: 5 - count])
        assert code == 0, err
        verification = store.list_runs(tmp_path / "runs")[0]
        config_of = verification.record.config
        assert (config_of.name, config_of.paths) == ("verify", [str(training.path)])
        assert config_of.options["checkpoint"] == "7"
        assert len(store.list_runs(tmp_path / "runs")) == count
    assert json.loads(arcterm("show", "--json")[1])["id"] == verification.id


def test_stop_and_resume_without_a_run(arcterm, make):
    live = make(config(), "running", name="live-one")
    stopped = make(CHECK, "stopped", name="stopped-one")
    make(CHECK, "done")
    code, _, err = arcterm("resume", "--detach")
    assert code == 0, err
    assert state.read_state(stopped).state == "done"
    code, _, err = arcterm("stop", "--no-wait")
    assert code == 0, err
    assert "live-one" in err
    state.write_state(live, "done", attempt=1)
    code, _, err = arcterm("stop")
    assert code == 4
    assert "there is no live run in runs, only 2 done jobs, 1 done training" in err
    code, _, err = arcterm("resume", "last")
    assert code == 4 and "no stopped, failed or lost training or job in runs" in err


def test_attach_takes_the_newest_and_rm_none(arcterm, make):
    make(config(), "done", name="old")
    make(config(), "done", name="new")
    assert "new is done" in arcterm("attach", "--plain")[2]
    code, _, err = arcterm("rm", "--yes")
    assert code == 2 and "Missing argument" in err
    assert len(json.loads(arcterm("runs", "--json")[1])) == 2


@pytest.mark.parametrize("file", ["run.json", "state.json", "owner.json"])
def test_a_damaged_run_costs_one_row(arcterm, make, file):
    other = make(config(), "done", name="whole-one")
    torn = make(config(), "failed", name="torn-one")
    save(torn, 7)
    os.truncate(torn.path / file, 9)
    (torn.path.parent / "notes.txt").write_text("")
    code, out, err = arcterm("runs")
    header, *rows = out.splitlines()
    assert code == 0 and header.split()[-1] == "DAMAGE"
    row, others = sorted(rows, key=lambda row: "damaged" not in row)
    assert f"{file} is not what arcterm wrote" in row
    assert others.startswith("whole-one  ")
    assert err == "runs: 1 other entry is no run\n"
    told = json.loads(arcterm("runs", "--json")[1])
    damaged, done = sorted(told, key=lambda row: row["state"])
    assert (damaged["id"], damaged["state"], done["state"]) == (torn.id, "damaged", "done")
    assert damaged["reason"].startswith(file) and damaged.keys() == done.keys()
    code, out, err = arcterm("show", torn.id)
    assert (code, err) == (0, "")
    assert "state             damaged" in out and f"reason            {file} is not" in out
    assert "checkpoint        step 7" in out
    for words in (["attach"], ["stop"], ["resume"], ["verify"]):
        code, _, err = arcterm(*words, torn.id)
        assert code == 4 and "is damaged" in err and f"arcterm rm {torn.id}" in err
    assert arcterm("show", "--json")[1] == arcterm("show", told[0]["id"], "--json")[1]
    assert "whole-one is done" in arcterm("attach", "--plain")[2]
    assert arcterm("rm", torn.id, "--yes")[0] == 0
    assert [run.id for run in store.list_runs(torn.path.parent)] == [other.id]


def test_other_damage_costs_one_row_too(arcterm, make):
    job, training = make(CHECK, "done", name="job"), make(config(), "done", name="training")
    write_report(job, JobReport(lines=["fine"]))
    (job.path / "report.json").write_text("[")
    (training.events / "0001-r00000.jsonl").mkdir()
    rows = {row["name"]: row for row in json.loads(arcterm("runs", "--json")[1])}
    assert {row["state"] for row in rows.values()} == {"damaged"}
    assert "report.json is not what arcterm wrote" in rows["job"]["reason"]
    assert "events/0001-r00000.jsonl" in rows["training"]["reason"]
    for name in rows:
        assert arcterm("show", name)[0] == 0
        assert arcterm("rm", name, "--yes")[0] == 0


def test_a_job_is_no_training_to_verify(arcterm, make):
    make(CHECK, "done", name="job")
    code, _, err = arcterm("verify", "job")
    assert code == 4 and "job is a job, data check pack, not a training" in err


def test_the_live_picture_of_a_run_on_the_cpu_shows_no_gpu(make):
    run = make(config(), "running")
    journal = Journal(run.events, 1, 0)
    journal.write(Gpus(host="h", gpus=[Gpu(index=0, name="NVIDIA H200")]))
    journal.write(Rank(rank=0, cpu=97.0, memory=1 << 30))
    drawn = Console(width=100, file=io.StringIO(), force_terminal=False)
    drawn.print(live._machine(run.record.config, Reader(run).refresh()))
    text = drawn.file.getvalue()
    assert "H200" not in text and "CPU 97 %" in text


def test_the_peak_of_each_ranks_gpu_memory_is_shown(arcterm, make):
    run = make(config(), "running", name="large")
    for rank, peak in enumerate((3 << 30, 5 << 30)):
        Journal(run.events, 1, rank).write(Rank(rank=rank, cpu=97.0, memory=1 << 30, gpu_peak=peak))
    shown = arcterm("show", "large")[1]
    assert "rank 0: 3.0 GiB at most" in shown and "rank 1: 5.0 GiB at most" in shown
    assert [rank["gpu_peak"] for rank in json.loads(arcterm("show", "large", "--json")[1])["ranks"]][
        1
    ] == 5 << 30
    drawn = Console(width=100, file=io.StringIO(), force_terminal=False)
    drawn.print(live._machine(run.record.config, Reader(run).refresh()))
    assert "5.0 GiB" in drawn.file.getvalue()


def test_a_damaged_run_that_lives_is_stopped_before_it_is_removed(arcterm, make):
    run = make(config(), "running", name="torn")
    (run.path / "state.json").write_text("{")
    with state.lock(run):
        code, _, err = arcterm("rm", "torn", "--yes")
        assert code == 4 and f"arcterm stop {run.id}" in err
        assert arcterm("stop", run.id)[0] == 0
        assert [request.verb for _, request in control.pending(run)] == ["stop"]
    assert arcterm("rm", "torn", "--yes")[0] == 0
