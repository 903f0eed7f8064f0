"""Checkpoints that are written while steps go on: the bytes of one for which steps wait, and no less safe."""

from __future__ import annotations

import threading

import pytest
import torch

from arcterm.errors import DiskFullError, TrainingError
from arcterm.runs import checkpoints, space, store
from arcterm.runs.events import Checkpoint, Message, Phase
from arcterm.train import loop
from arcterm.train.checkpoint import background, tensorfile, writing
from arcterm.train.checkpoint.background import Background
from arcterm.train.checkpoint.saver import Saver
from arcterm.train.checkpoint.writing import SavePoint
from arcterm.train.pause import Pause
from arcterm.train.update import Update
from arcterm.train.world import World

from ..runs.conftest import config
from .test_checkpoint import many, poisoned, run, train_a_little, trained
from .test_loop import Heard, train, weights
from .test_tensorfile import MANY

__all__ = ["run", "train"]

FEED = {"triplets": torch.arange(6)}


def digests(run, step):
    return checkpoints.check(run.checkpoints / checkpoints.name_of(step)).files


def saver(run, made, heard, **changes):
    asked = config(**changes)
    return Saver(run, asked, made, World(), heard, Pause(run, 1, asked, World(), heard))


class Gate:
    """Holds the thread that writes until it is opened."""

    def __init__(self, monkeypatch):
        plain, self.open = tensorfile.write, threading.Event()

        def write(path, tensors):
            if threading.current_thread().name == "checkpoint":
                assert self.open.wait(30)
            return plain(path, tensors)

        monkeypatch.setattr(tensorfile, "write", write)


class Opening(Heard):
    """Opens a gate when a phase begins whose detail is `detail`."""

    def __init__(self, gate, detail):
        super().__init__()
        self.gate, self.detail = gate, detail

    def write(self, event):
        super().write(event)
        if isinstance(event, Phase) and event.detail == self.detail:
            self.gate.open.set()


def test_a_copy_is_exact_and_apart():
    copied = tensorfile.copy({"file": MANY})["file"]
    assert copied.keys() == MANY.keys()
    for name, tensor in MANY.items():
        assert copied[name].dtype == tensor.dtype
        assert copied[name].is_contiguous()
        assert torch.equal(copied[name], tensor)
        assert not tensor.numel() or copied[name].data_ptr() != tensor.data_ptr()


@pytest.mark.parametrize("rate", [1.0, 0.2])
def test_it_is_the_checkpoint_of_the_step_at_which_it_began(run, tmp_path, monkeypatch, rate):
    made, gate = many("uniface", rate), Gate(monkeypatch)
    train_a_little(made)
    other = store.create(tmp_path / "others", config(), label="x", argv=[], host="h")
    writing.save(other, config(), World(), made, SavePoint(3, 1, "test"), FEED)
    beside = Background(run, config(), World())
    feed = {name: tensor.clone() for name, tensor in FEED.items()}
    beside.begin(made, SavePoint(3, 1, "test"), feed)
    assert (beside.step, beside.busy()) == (3, True)
    assert list(run.checkpoints.glob("step-*")) == []
    train_a_little(made)  # in place, as training does it
    feed["triplets"].zero_()
    gate.open.set()
    event = beside.finish()
    assert (beside.step, beside.busy(), event.step) == (None, False, 3)
    assert event.waited is not None
    assert digests(run, 3) == digests(other, 3)
    assert [path.name for path in run.checkpoints.iterdir()] == [event.name]
    beside.begin(made, SavePoint(3, 1, "test"), FEED)
    assert beside.step is None  # that step is saved


@pytest.mark.long
def test_it_changes_no_bit(train):
    waiting, told = train("waiting", checkpoint_background=False)
    beside, again = train("beside")
    often, _ = train("often", checkpoint_every=1, keep_last=9)
    for step in (3, 6):
        assert digests(beside, step) == digests(waiting, step) == digests(often, step)
    first, last = ([e for e in heard if isinstance(e, Checkpoint)] for heard in (told, again))
    assert [(e.step, e.reason) for e in first] == [(e.step, e.reason) for e in last]
    assert all(e.waited == e.seconds for e in first)
    assert last[0].waited != last[0].seconds
    resumed, _ = train("resumed", resume_from=beside)
    for name, tensor in weights(waiting).items():
        assert torch.equal(weights(resumed)[name], tensor), name


def test_another_save_waits_for_the_first(run, monkeypatch):
    made, gate = trained(), Gate(monkeypatch)
    heard = Opening(gate, "step 3")
    saving = saver(run, made, heard)
    saving.save(SavePoint(3, 1, "scheduled"), {})
    assert gate.open.is_set()  # by the phase with which it began
    gate.open.clear()
    assert saving.saving
    heard.clear()
    saving.save(SavePoint(4, 1, "requested"), {})
    (event,) = [e for e in heard if isinstance(e, Checkpoint)]
    assert (event.step, event.reason) == (3, "scheduled")
    heard.detail = "step 4"
    saving.finish()
    assert [m.step for _, m in checkpoints.list_checkpoints(run)] == [3, 4]
    assert not saving.saving


@pytest.mark.parametrize("point", [SavePoint(3, 1, "stop"), SavePoint(3, 1, "verified", unverified=True)])
def test_the_last_word_and_what_is_verified_are_there_at_once(run, point):
    saving = saver(run, trained(), heard := Heard())
    saving.save(point, {})
    assert not saving.saving
    assert [e.step for e in heard if isinstance(e, Checkpoint)] == [3]


def test_without_memory_for_a_copy_steps_wait_and_it_is_said_once(run, monkeypatch):
    monkeypatch.setattr(background, "free_memory", lambda: space.copy_bytes(0))
    saving = saver(run, trained(), heard := Heard())
    for step in (3, 4):
        saving.save(SavePoint(step, 1, "scheduled"), {})
        assert not saving.saving
    assert [m.step for _, m in checkpoints.list_checkpoints(run)] == [3, 4]
    (said,) = [e for e in heard if isinstance(e, Message)]
    assert "steps wait while checkpoints are written" in said.text


def test_what_a_full_disk_refuses_is_written_again(run, monkeypatch):
    plain, tried = tensorfile.write, []

    def write(path, tensors):
        tried.append(path.name)
        if len(tried) == 2:
            raise OSError(28, "No space left on device", str(path))
        return plain(path, tensors)

    monkeypatch.setattr(tensorfile, "write", write)
    now = [0.0]
    monkeypatch.setattr("arcterm.train.pause.time.sleep", lambda seconds: now.append(now[-1] + seconds))
    monkeypatch.setattr("arcterm.train.pause.time.monotonic", lambda: now[-1])
    made = trained()
    saving = saver(run, made, heard := Heard())
    saving.save(SavePoint(3, 1, "scheduled"), {})
    train_a_little(made)
    saving.finish()
    assert checkpoints.newest(run).manifest.step == 3
    texts = [e.text for e in heard if isinstance(e, Message)]
    assert any(text.startswith("paused at step 3") and "No space left" in text for text in texts)
    assert not list(run.checkpoints.glob(".tmp-*"))
    other = trained()
    expected = tensorfile.write(run.path / "expected", other.backbone.state_dict())
    assert digests(run, 3)["backbone.safetensors"] == expected


def test_an_error_of_the_disk_is_said_and_leaves_nothing(run, monkeypatch):
    def fail(path, _):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(tensorfile, "write", fail)
    beside = Background(run, config(), World())
    beside.begin(trained(), SavePoint(3, 1, "test"), {})
    with pytest.raises(TrainingError, match="step 3 could not be written: Input/output error") as caught:
        beside.finish()
    assert not isinstance(caught.value, DiskFullError)
    assert list(run.checkpoints.iterdir()) == []


def test_what_is_not_finite_is_refused_at_its_step(run):
    beside = Background(run, config(), World())
    with pytest.raises(TrainingError, match="not finite after step 3, so it was not saved"):
        beside.begin(poisoned(trained(), "head"), SavePoint(3, 1, "test"), {})
    assert (beside.step, list(run.checkpoints.iterdir())) == (None, [])


def test_an_error_in_a_step_loses_no_checkpoint(train, monkeypatch, tmp_path):
    plain = Update.apply

    def apply(self, step, loss):
        if step == 4:
            raise RuntimeError("the step is broken")
        return plain(self, step, loss)

    monkeypatch.setattr(Update, "apply", apply)
    monkeypatch.setattr(loop, "Saver", lambda *parts: made.append(Saver(*parts)) or made[-1])
    made = []
    with pytest.raises(RuntimeError, match="the step is broken"):
        train("broken")
    (path,) = tmp_path.glob("broken/*")
    assert checkpoints.newest(store.Run(path)).manifest.step == 3
    assert not made[0].saving
