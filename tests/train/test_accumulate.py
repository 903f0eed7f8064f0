"""Steps in parts: the gradient of the large batch, the same classes, the same bits after a resume."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from arcterm.errors import NotFiniteError
from arcterm.runs import checkpoints
from arcterm.runs.events import Message, Step
from arcterm.train import build
from arcterm.train.feed.loader import Batch
from arcterm.train.head.head import Head

from . import test_loop
from .faulty import FLAT, Deviation, OneFlat, without_norms
from .test_finite import BAD
from .test_loop import losses, weights

pytestmark = pytest.mark.long
train = test_loop.train


@pytest.fixture
def learn(train, monkeypatch):
    monkeypatch.setattr(build, "backbone", lambda config, device: without_norms(nn.Identity()))

    def go(name, batch=8, parts=1, resume_from=None, **changes):
        return train(name, resume_from, batch_size=batch, accumulate=parts, **{"lr": 0.02, **changes})

    return go


HOWS = {
    "classes": {},
    "partial-fc": {"sample_rate": 0.5},
    "clipped": {"clip": 0.5},
    "margins-learn": {"loss": "adaptiveface"},
    "sums": {"loss": "sphereface2"},
}


@pytest.mark.parametrize("how", HOWS.values(), ids=HOWS)
def test_parts_learn_what_the_large_batch_does(learn, how):
    """To 1e-5 after 6 steps; other images would differ a hundredfold."""
    size = 4 if "sample_rate" in how else 8  # so that there are classes that are in no image of a step
    whole, heard = learn("whole", size, **how)
    expected = weights(whole)
    for parts in (2, 4):
        run, again = learn(f"parts{parts}", size // parts, parts, **how)
        assert losses(again) == pytest.approx(losses(heard), rel=1e-5)
        for name, tensor in weights(run).items():
            room = 1e-5 * max(1, float(expected[name].abs().max()) if "momentum" in name else 0)
            assert torch.allclose(tensor, expected[name], rtol=0, atol=room), name
        for ours, theirs in zip(*(filter(is_step, events) for events in (again, heard)), strict=True):
            assert (ours.samples, ours.epoch, ours.lr) == (theirs.samples, theirs.epoch, theirs.lr)
            assert ours.accuracy == pytest.approx(theirs.accuracy, abs=1e-6)
            assert ours.angle == pytest.approx(theirs.angle, abs=1e-3)
            assert ours.times.keys() == theirs.times.keys()
    other = weights(learn("other", size, seed=1, **how)[0])
    name = "backbone.safetensors/3.weight"
    assert (other[name] - expected[name]).abs().max() > 1e-3


def is_step(event):
    return isinstance(event, Step)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"sample_rate": 0.5, "loss": "curricularface"},
        {"sample_rate": 0.5, "optimizer": "adamw", "lr": 1e-3},
    ],
    ids=["all", "partial", "partial-adamw"],
)
def test_a_resumed_run_in_parts_ends_in_the_same_bits(learn, how):
    whole, heard = learn("whole", 2, 2, **how)
    parts, again = learn("parts", 2, 2, resume_from=whole, **how)
    expected, found = weights(whole), weights(parts)
    assert expected.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert losses(heard)[3:] == losses(again)


def test_all_parts_of_a_step_meet_the_same_classes(learn, monkeypatch):
    seen, score = [], Head._score

    def watched(self, features, labels, step, drawn):
        seen.append((step, drawn.index.tolist(), sorted(set(labels.tolist()))))
        return score(self, features, labels, step, drawn)

    monkeypatch.setattr(Head, "_score", watched)
    learn("run", 2, 3, sample_rate=0.5, steps=4)
    assert [step for step, _, _ in seen] == [step for step in range(1, 5) for _ in range(3)]
    for first in range(0, len(seen), 3):
        (_, index, _), *_ = of_step = seen[first : first + 3]
        assert all(other == index for _, other, _ in of_step)
        assert {label for _, _, labels in of_step for label in labels} <= set(index)
        assert len(index) == 6  # as many as the labels of the whole step may be


def test_a_part_that_is_no_number_ends_or_skips_the_whole_step(learn, monkeypatch):
    monkeypatch.setattr(build, "backbone", lambda config, device: without_norms(Deviation()))
    monkeypatch.setattr(build, "dataset", lambda config, set_aside=(): OneFlat())
    with pytest.raises(NotFiniteError) as caught:
        learn("stops", 2, 4)
    assert (caught.value.step, caught.value.rank) == (BAD, 0)
    assert caught.value.tensor == "the output of 0 (Deviation)"
    run, heard = learn("skips", 2, 4, on_nan="skip", checkpoint_every=1, keep_last=9)
    assert [event.step for event in heard if is_step(event) and event.skipped] == [BAD]
    assert [
        e.text for e in heard if isinstance(e, Message) and "the output of 0 (Deviation), on rank 0" in e.text
    ]
    before, after = weights(run, BAD - 1), weights(run, BAD)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert checkpoints.list_checkpoints(run)[-1][1].skipped == 1
    assert FLAT == 17


def test_parts_of_a_batch_are_views_in_order():
    batch = Batch(3, torch.arange(24, dtype=torch.uint8).view(6, 2, 2, 1), torch.arange(6))
    parts = batch.parts(3)
    assert [part.labels.tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert all(part.step == 3 and part.images._base is not None for part in parts)
    assert torch.equal(torch.cat([part.images for part in parts]), batch.images)
