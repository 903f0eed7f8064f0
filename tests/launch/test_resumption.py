"""A resume with changes: recorded once the run is owned, and not at all when it does not come to start."""

from __future__ import annotations

import json
import re
import shutil
import sys

import pytest
from typer.testing import CliRunner

from arcterm import gpus
from arcterm.cli.app import build
from arcterm.config import job_config
from arcterm.errors import ConfigError, DataError, RunError, StartError
from arcterm.files import create_json
from arcterm.launch import devices, engine
from arcterm.launch.estimate import footprint, room
from arcterm.launch.estimate.footprint import Footprint, Growth
from arcterm.launch.resume import resumption
from arcterm.overrides import check_settings
from arcterm.runs import checkpoints, dataset, history, state, store
from arcterm.runs.checkpoints import Manifest

from ..runs.conftest import config
from .test_samedata import make_folder, make_run, other_person


@pytest.fixture
def run(tmp_path):
    """A stopped training on 24 images of 6 people, 8 a step on one rank, with a checkpoint of step 1."""
    make_folder(tmp_path / "data")
    made = make_run(tmp_path / "runs", "folder", tmp_path / "data")
    save(made, 1)
    return made


def save(run, step):
    folder = run.checkpoints / checkpoints.name_of(step)
    folder.mkdir()
    manifest = Manifest(
        format_version=1, step=step, epoch=1, samples=8 * step, seed=0, world_size=1, classes=6,
        embedding_size=128, backbone="tiny", loss="arcface", files={}, head=[], t=5.0,
    )  # fmt: skip
    create_json(folder / checkpoints.MANIFEST, manifest)


@pytest.fixture
def accepted(monkeypatch):
    """An engine whose supervisor owns the run and records the change."""

    def submit(run, *options):
        if "--change" in options:
            with state.lock(run):
                history.accept(run, options[options.index("--change") + 1], checkpoints.newest_step(run))
        return "1"

    monkeypatch.setattr(engine, "submit", submit)


def prepare(run, why="arcterm resume", accept=False, **asked):
    return resumption.prepare(run, check_settings(asked, "test"), why=why, accept_changed_data=accept)


def cli(*arguments):
    return CliRunner().invoke(build(arguments), arguments)


def proposals(run):
    return list(run.path.glob(".change-*"))


def test_a_change_is_recorded_by_the_owner_of_the_run(run, accepted):
    begun = prepare(run, why="arcterm resume x --nproc 2", nproc=2)
    assert begun.settings["batch_size"] == [8, 4] and begun.step == 1
    assert history.read(run) == [] and proposals(run) == []
    begun.start()
    (change,) = history.read(run)
    assert (change.step, change.why, change.config) == (1, "arcterm resume x --nproc 2", begun.config)
    assert (run.config.nproc, run.config.batch_size) == (2, 4)
    assert proposals(run) == []


def test_what_asks_for_nothing_new_records_nothing(run, accepted):
    begun = prepare(run, lr=0.1, keep_last=3)
    assert begun.proposal is None and begun.lines == []
    begun.start()
    assert history.read(run) == []


def test_a_start_that_fails_changes_nothing(run, monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text(f"#!{sys.executable}\nimport sys\nsys.exit('no room')\n")
    python.chmod(0o700)
    monkeypatch.setattr("arcterm.launch.engine.sys.executable", str(python))
    state.write_state(run, "done", attempt=1, step=3)
    with pytest.raises(StartError, match="no room"):
        prepare(run, steps=6, nproc=2).start()
    assert history.read(run) == [] and proposals(run) == []
    assert (run.config.steps, state.read_state(run).state) == (3, "done")


def test_a_change_worked_out_for_another_step_is_refused(run, accepted):
    begun = prepare(run, batch_size=6)
    save(run, 2)
    with pytest.raises(RunError, match="went on since the changes were worked out"):
        begun.start()
    again = prepare(run, batch_size=6)
    prepare(run, lr=0.2).start()
    with pytest.raises(RunError, match="went on since"):
        again.start()
    assert [change.settings for change in history.read(run)] == [{"lr": [0.1, 0.2]}]
    assert proposals(run) == []


def test_what_a_killed_start_left_is_removed_by_the_next(run, accepted):
    history.propose(run, prepare(run, lr=0.3).proposal)
    assert history.read(run) == [] and len(proposals(run)) == 1
    prepare(run, lr=0.2).start()
    assert run.config.lr == 0.2 and proposals(run) == []


def test_a_done_run_goes_on_only_when_it_is_made_longer(run, accepted):
    state.write_state(run, "done", attempt=1, step=3)
    for asked in ({}, {"lr": 0.2}):
        with pytest.raises(RunError, match="is done: all 3 steps were made") as refused:
            prepare(run, **asked)
        assert f"`arcterm resume {run.id} --steps 6` goes on beyond them" in refused.value.hint
    prepare(run, epochs=3).start()
    assert (run.config.steps, run.config.epochs) == (9, 3)


# --- data


def test_data_that_moved_is_found_and_other_data_refused(run, accepted, tmp_path):
    data, moved = tmp_path / "data", tmp_path / "moved"
    data.rename(moved)
    with pytest.raises(DataError, match="data"):
        prepare(run)
    begun = prepare(run, dataset=str(moved))
    assert f"data      {moved} instead of {data}" in begun.lines
    begun.start()
    assert run.config.dataset_options["path"] == str(moved)
    assert not (run.path / "data.json").exists()
    shutil.copytree(moved, tmp_path / "third")
    other_person(tmp_path / "third")
    with pytest.raises(DataError, match="the data set changed since the run was made"):
        prepare(run, dataset=str(tmp_path / "third"))
    prepare(run, dataset=str(tmp_path / "third"), accept=True).start()
    assert run.config.dataset_options["path"] == str(tmp_path / "third")
    assert dataset.describe(run)["accepted"]


# --- devices


@pytest.fixture
def box(monkeypatch):
    """``box(*indices)``: the GPUs that can be used here."""

    def install(*indices):
        monkeypatch.setattr(devices, "torch_has_cuda", lambda: True)
        monkeypatch.setattr(devices, "too_old", lambda: "")
        monkeypatch.setattr(gpus, "select", lambda wanted: wanted or list(indices))
        monkeypatch.setattr(gpus, "usable", lambda: ([], ""))
        monkeypatch.setattr(gpus, "assign", lambda recorded: [])
        monkeypatch.setattr(gpus, "trouble", lambda: "")

    return install


@pytest.fixture
def on_gpus(run):
    """The same run, as it would be on GPU 2 and 3."""
    made = json.loads((run.path / "run.json").read_text())
    made["config"] |= {"device": "cuda", "gpus": [2, 3], "nproc": 2, "batch_size": 4}
    (run.path / "run.json").write_text(json.dumps(made))
    return store.Run(run.path)


def test_a_run_on_gpus_goes_on_on_fewer_more_or_the_cpu_if_asked(on_gpus, box):
    box(0, 1, 3)
    with pytest.raises(RunError, match="none can be used here") as refused:
        prepare(on_gpus)
    assert f"`arcterm resume {on_gpus.id} --gpus none` goes on on the CPU" in refused.value.hint
    one = prepare(on_gpus, nproc=1)
    assert (one.config.gpus, one.config.batch_size, one.config.threads) == ([3], 8, 1)
    assert prepare(on_gpus, nproc=2).config.gpus == [3, 0]
    assert prepare(on_gpus, gpus="0,1").config.gpus == [0, 1]
    assert "ranks     GPU 0, 1 instead of GPU 2, 3" in prepare(on_gpus, gpus="0,1").lines
    with pytest.raises(ConfigError, match="4 ranks on 3 GPUs"):
        prepare(on_gpus, nproc=4)
    cpu = prepare(on_gpus, gpus="none", nproc=2).config
    assert (cpu.device, cpu.gpus, cpu.nproc) == ("cpu", [], 2)
    assert prepare(on_gpus, gpus="none").config.nproc == 1


def test_without_a_gpu_the_cpu_has_to_be_asked_for(on_gpus, box):
    box()
    with pytest.raises(ConfigError, match="1 rank on no GPU") as refused:
        prepare(on_gpus, nproc=1)
    assert "--gpus none --nproc 1" in refused.value.hint


def test_fewer_gpus_than_ranks_name_the_way(monkeypatch):
    there = [type("Device", (), {"gpu": type("Gpu", (), {"index": n})})() for n in range(3)]
    monkeypatch.setattr(gpus, "assign", lambda recorded: there)
    monkeypatch.setattr(devices, "torch_has_cuda", lambda: True)
    monkeypatch.setattr(devices, "too_old", lambda: "")
    monkeypatch.setattr(gpus, "usable", lambda: ([], ""))
    monkeypatch.setattr(gpus, "trouble", lambda: "")
    with pytest.raises(RunError, match="the run has 4 ranks") as refused:
        devices.today(config(device="cuda", gpus=[0, 1, 2, 3], nproc=4, batch_size=8), "7af3")
    assert "`arcterm resume 7af3 --nproc 2` goes on on fewer" in refused.value.hint


def test_a_run_on_the_cpu_stays_there_until_gpus_are_named(run, box):
    box(0, 1)
    assert prepare(run, nproc=2).config.device == "cpu"
    assert prepare(run, gpus="1").config.gpus == [1]


# --- the command


def test_the_command_says_what_would_change_and_starts_nothing(run, monkeypatch):
    monkeypatch.setattr(engine, "submit", pytest.fail)
    place = ("--runs-dir", str(run.path.parent))
    done = cli("resume", run.id, "--nproc", "2", "--set", "keep_last=5", "--dry-run", *place)
    assert done.exit_code == 0
    assert "batch     4 × 2 = 8 images a step as before" in done.stderr
    assert "changed   keep_last 5 instead of 3" in done.stderr
    planned = json.loads(cli("resume", run.id, "--lr", "0.2", "--dry-run", "--json", *place).stdout)
    assert (planned["id"], planned["step"], planned["settings"]) == (run.id, 1, {"lr": [0.1, 0.2]})
    assert "nothing changes" in cli("resume", run.id, "--dry-run", *place).stdout
    refused = cli("resume", run.id, "--set", "seed=4", *place).exception
    assert isinstance(refused, ConfigError) and "--set seed: a resume can't change this" in refused.message


def test_the_settings_of_a_job_stay(tmp_path):
    job = store.create(tmp_path, job_config("bench", [tmp_path], {}), label="x", argv=[], host="h")
    state.write_state(job, "stopped", attempt=1)
    with pytest.raises(ConfigError, match="is a job, and its settings stay"):
        prepare(job, nproc=2)


def test_show_says_what_was_changed(run, accepted):
    prepare(run, why="arcterm resume x --nproc 2", nproc=2).start()
    shown = cli("show", run.id, "--runs-dir", str(run.path.parent)).stdout
    assert "step 1: nproc 1 → 2, batch_size 8 → 4 (arcterm resume x --nproc 2)" in shown


@pytest.mark.long
def test_a_batch_that_finds_no_memory_is_refused_with_one_that_does(run, accepted, monkeypatch):
    image = 100 << 20
    found = Footprint(weights=1, gradients=1, momentum=1, beyond={"step": Growth(0, image)})
    monkeypatch.setattr(footprint, "known", lambda *_: found)
    monkeypatch.setattr(room, "host_memory", lambda: 10 * image)
    with pytest.raises(ConfigError) as error:
        prepare(run, batch_size=24, steps=9)
    assert "a rank needs" in error.value.message
    (fits,) = re.findall(r"--batch-size (\d+)` fits", error.value.hint)
    assert 1 < int(fits) < 10
    assert "accumulate" not in error.value.hint  # which would keep the images of before
    prepare(run, batch_size=int(fits), steps=9).start()
    assert run.config.batch_size == int(fits)


@pytest.mark.long
def test_ranks_that_find_no_memory_are_shown_the_parts_that_do(run, accepted, monkeypatch):
    found = Footprint(weights=1, gradients=1, momentum=1, beyond={"step": Growth(0, 220 << 20)})
    monkeypatch.setattr(footprint, "known", lambda *_: found)
    monkeypatch.setattr(room, "host_memory", lambda: 2100 << 20)
    with pytest.raises(ConfigError) as error:
        prepare(run, nproc=2)
    assert f"`arcterm resume {run.id} --nproc 2 --set accumulate=2` keeps the images" in error.value.hint
    kept = prepare(run, nproc=2, accumulate=2).config
    assert (kept.batch_size, kept.nproc, kept.accumulate, kept.global_batch) == (2, 2, 2, 8)
