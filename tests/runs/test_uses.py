"""``last`` is the newest run that a command can use."""

from __future__ import annotations

import pytest

from arcterm.config import JobConfig, TrainConfig
from arcterm.errors import RunError
from arcterm.inputs import models, uses
from arcterm.launch import pretrained
from arcterm.runs import checkpoints, state, store
from arcterm.runs.state import write_state

from ..jobs import verification
from .conftest import config
from .test_checkpoints import save

JOBS = {
    "train": config(),
    "verify": verification(config()),
    "data": JobConfig(name="check", group="data", paths=["/pack"]),
}


@pytest.fixture
def make(tmp_path):
    """``make("train", "done", saved=True)``: a newer run in ``runs``, its id."""

    def run(job, now, saved=False):
        made = store.create(tmp_path / "runs", JOBS[job], label=job, argv=[], host="h")
        state.take_ownership(made, 1, "local")
        write_state(made, now, attempt=1)
        if saved:
            save(made, 10)
        return made.id

    return run


@pytest.fixture
def last(tmp_path):
    return lambda use=None: store.find(tmp_path / "runs", "last", use).id


def test_each_command_takes_the_newest_that_it_can_use(make, last):
    saved = make("train", "done", saved=True)
    make("train", "failed")
    failed_job = make("data", "failed")
    live = make("train", "running")
    make("verify", "failed")
    make("verify", "stopped")
    newest = make("data", "done")
    assert last() == last(uses.WATCHED) == newest
    assert last(uses.TRAINED) == saved
    assert last(uses.RESUMABLE) == failed_job
    assert last(uses.LIVING) == live


@pytest.mark.parametrize("now", ["stopped", "failed", "lost"])
@pytest.mark.parametrize("job", ["train", "data"])
def test_what_was_cut_short_is_resumed_whatever_it_was(make, last, job, now):
    wanted = make(job, now)
    make("train", "done")
    make("data", "running")
    assert last(uses.RESUMABLE) == wanted


@pytest.mark.parametrize("now", ["done", "stopped", "failed", "lost"])
def test_a_training_that_is_over_is_made_longer(make, last, now):
    wanted = make("train", now)
    make("data", "stopped")
    make("train", "running")
    assert last(uses.LONGER) == wanted


def test_a_live_training_with_a_checkpoint_can_be_verified(make, last):
    make("train", "done", saved=True)
    assert make("train", "running", saved=True) == last(uses.TRAINED)


def test_checkpoints_that_are_not_listed_and_damaged_runs_do_not_count(make, last, tmp_path):
    saved = make("train", "done", saved=True)
    cut = make("train", "done", saved=True)
    (tmp_path / "runs" / cut / "ckpt" / checkpoints.name_of(10) / "backbone.safetensors").write_bytes(b"")
    torn = make("train", "stopped", saved=True)
    (tmp_path / "runs" / torn / "owner.json").write_text("{")
    assert (last(uses.TRAINED), last(uses.WATCHED), last()) == (saved, cut, torn)
    with pytest.raises(RunError, match="no stopped, failed or lost training or job") as error:
        last(uses.RESUMABLE)
    assert "only 1 damaged run, 2 done trainings" in error.value.message


def test_what_is_looked_for_and_what_there_is_are_said(make, last):
    make("data", "done")
    make("data", "done")
    make("verify", "stopped")
    with pytest.raises(RunError) as error:
        last(uses.TRAINED)
    assert "no training with a checkpoint in" in error.value.message
    assert "only 1 stopped job, 2 done jobs" in error.value.message
    with pytest.raises(RunError, match="no live run in"):
        last(uses.LIVING)


def test_without_runs_last_says_how_to_start_one(last):
    with pytest.raises(RunError) as error:
        last(uses.TRAINED)
    assert "no runs yet" in error.value.hint


def test_models_and_pretrained_mean_the_same_run(make, tmp_path):
    root = tmp_path / "runs"
    made = config(backbone_options={"embedding_size": 64})
    run = store.create(root, made, label="train", argv=[], host="h")
    write_state(run, "done", attempt=1)
    folder = save(run, 10)
    text = (folder / checkpoints.MANIFEST).read_text()
    (folder / checkpoints.MANIFEST).write_text(text.replace('"backbone": "b"', '"backbone": "tiny"'))
    for _ in range(2):
        make("data", "done")
        make("verify", "done")
    assert isinstance(run.record.config, TrainConfig)
    assert pretrained.find("last", root, "tiny", {"embedding_size": 64}).path == folder
    assert models.locate("last", root)["weights"] == str(folder / checkpoints.BACKBONE)
