"""A loss or a gradient that is no number: no weight ever meets it, and what was bad first has a name."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from arcterm.errors import NotFiniteError
from arcterm.runs import checkpoints, store
from arcterm.runs.events import Message, Step
from arcterm.train import build, loop
from arcterm.train.feed.sampler import Sampler
from arcterm.train.guards import finite
from arcterm.train.guards.finite import FiniteGuard
from arcterm.train.world import World

from ..runs.conftest import config
from .faulty import FLAT, Deviation, Kept, Length, OneFlat, network
from .test_loop import weights

pytestmark = pytest.mark.long
STEPS = 6
BAD = int(np.flatnonzero(Sampler(48, 8).order(0) == FLAT)[0]) // 8 + 1


class Ended(NamedTuple):
    heard: Kept
    run: store.Run
    error: NotFiniteError | None


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Train on data with a flat picture, in step `BAD`."""
    make = build.trained

    def go(name="run", first=Deviation, resume=None, data=OneFlat, **changes):
        monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): data())
        monkeypatch.setattr(build, "backbone", lambda config, device: network(first()))
        heard = Kept()

        def kept(*given):
            heard.trained = make(*given)
            return heard.trained

        monkeypatch.setattr(build, "trained", kept)
        settings = {"nproc": 1, "steps": STEPS, "epochs": 1, "batch_size": 8, "checkpoint_every": 1} | {
            "loss": "curricularface", "loss_options": {"margin": 0.5}, "precision": "float32", "keep_last": 9,
        }  # fmt: skip
        asked = config(**{**settings, **changes})
        run = store.create(tmp_path / name, asked, label="x", argv=[], host="h")
        (run.path / "attempts" / "0001").mkdir(parents=True, exist_ok=True)
        place = resume.checkpoints / checkpoints.name_of(BAD + 1) if resume else None
        try:
            loop.train(run, 1, asked, World(), heard, place)
        except NotFiniteError as error:
            return Ended(heard, run, error)
        return Ended(heard, run, None)

    return go


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_bad_step_is_neither_the_first_nor_the_last():
    assert 1 < BAD < STEPS - 1


@pytest.mark.parametrize("policy", ["stop", "lower-lr"])
def test_it_ends_before_the_update(train, policy):
    ended = train(on_nan=policy)
    error = ended.error
    assert error is not None
    assert (error.step, error.rank, error.remedy) == (BAD, 0, "lower-lr" if policy == "lower-lr" else "")
    assert error.tensor == "the output of 0 (Deviation)"
    said = f"the loss became nan at step {BAD} (learning rate {error.lr:g}, scale 64, margin 0.5); first"
    assert error.message == f"{said} the output of 0 (Deviation), on rank 0"
    assert error.hint.startswith(f"`arcterm resume {ended.run.id} --lr 0.05` goes on")
    assert "--on-nan skip" in error.hint
    states = ended.heard.states
    assert same(states[BAD], states[BAD - 1]) is False  # running statistics, until they are put back
    assert same(finite_state(ended), states[BAD - 1])
    assert not same(states[BAD - 1], states[BAD - 2])
    last = [event for event in ended.heard if isinstance(event, Step)][-1]
    assert (last.step, last.loss, last.skipped) == (BAD, "nan", True)
    assert checkpoints.list_checkpoints(ended.run)[-1][1].step == BAD - 1


def finite_state(ended):
    trained = ended.heard.trained
    return {**trained.backbone.state_dict(), **trained.head.state_dict(prefix="head.")}


def test_without_the_guard_every_weight_is_lost(train, monkeypatch):
    monkeypatch.setattr(FiniteGuard, "bad", lambda self, loss: False)
    monkeypatch.setattr("arcterm.train.checkpoint.writing.require_finite", lambda *_: None)
    after = train(checkpoint_every=100).heard.states[BAD]
    assert after["3.weight"].isnan().all()
    assert after["head.weight"].isnan().all()


def test_skipping_goes_on_as_if_nothing_had_been(train):
    ended = train(on_nan="skip")
    assert ended.error is None
    steps = [event for event in ended.heard if isinstance(event, Step)]
    assert [event.step for event in steps if event.skipped] == [BAD]
    assert steps[BAD - 1].loss == "nan"
    assert all(math.isfinite(float(event.loss)) for event in steps if not event.skipped)
    (warning,) = [e.text for e in ended.heard if isinstance(e, Message) and "skipped" in e.text]
    assert "the output of 0 (Deviation), on rank 0: the step was skipped (1 by now)" in warning
    held = [weights(ended.run, step) for step in (BAD - 1, BAD, BAD + 1)]
    assert same(held[0], held[1])  # also the running statistics and what the loss remembers
    assert not same(held[1], held[2])
    newest = checkpoints.list_checkpoints(ended.run)[-1][1]
    assert (newest.step, newest.skipped) == (STEPS, 1)


def test_a_run_with_a_skipped_step_resumes_in_the_same_bits(train):
    whole = train("whole", on_nan="skip")
    parts = train("parts", on_nan="skip", resume=whole.run)
    assert same(weights(whole.run, STEPS), weights(parts.run, STEPS))
    assert checkpoints.list_checkpoints(parts.run)[-1][1].skipped == 1


def test_too_many_in_a_row_end_the_run(train, monkeypatch):
    class AllFlat(OneFlat):
        def __getitem__(self, index):
            return super().__getitem__(index)._replace(image=super().__getitem__(FLAT).image)

    monkeypatch.setattr(finite, "IN_A_ROW", 2)
    ended = train(on_nan="skip", data=AllFlat)
    assert ended.error is not None
    assert ended.error.step == 3
    assert "; 3 steps in a row" in ended.error.message
    assert "--on-nan skip" not in ended.error.hint


def test_too_many_in_all_end_the_run_also_after_a_resume(train, monkeypatch):
    monkeypatch.setattr(finite, "IN_A_ROW", 1)
    whole = train("whole", on_nan="skip", steps=2 * STEPS, loss="cosface")  # in each epoch one
    assert whole.error is not None
    assert "; 2 skipped steps are too many" in whole.error.message
    parts = train("parts", on_nan="skip", steps=2 * STEPS, loss="cosface", resume=whole.run)
    assert parts.error is not None
    assert parts.error.message == whole.error.message


def test_a_gradient_alone_is_found_in_the_order_of_the_way_back(train):
    error = train(first=Length).error
    assert error is not None
    assert error.message.startswith(f"a gradient is not finite at step {BAD} (")
    assert error.tensor == "the gradient of 0.gain"


@pytest.mark.parametrize(
    ("poison", "tensor"),
    [
        (lambda trained: trained.backbone[3].weight[2, 3:4], "the weights 3.weight"),
        (lambda trained: trained.head.weight[5], "the numbers of the head's weight"),
    ],
    ids=["backbone", "class rows"],
)
def test_bad_weights_are_named(train, monkeypatch, poison, tensor):
    begin = FiniteGuard.begin

    def poisoned(guard):
        begin(guard)
        poison(guard._trained).detach().fill_(math.inf)

    monkeypatch.setattr(FiniteGuard, "begin", poisoned)
    error = train().error
    assert error is not None
    assert (error.step, error.tensor) == (1, tensor)


def test_partial_fc_is_guarded_by_the_rows_of_the_step(train, monkeypatch):
    ended = train(sample_rate=0.5, on_nan="skip", loss="cosface")
    assert ended.error is None
    assert same(weights(ended.run, BAD - 1), weights(ended.run, BAD))


def tensors():
    return [torch.full((3, 4), 1e30), torch.full((2, 3, 2, 2), 3e38).to(memory_format=torch.channels_last)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_one_number_among_many_is_found_and_large_ones_are_none(value):
    assert torch.stack(list(finite._extremes(tensors()))).isfinite().all()
    for which in (0, 1):
        bad = tensors()
        bad[which][1, 1] = value
        assert not torch.stack(list(finite._extremes(bad))).isfinite().all()
