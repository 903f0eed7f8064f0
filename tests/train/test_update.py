"""The update of a step: what follows it, and what is gone before the next step's forward."""

from __future__ import annotations

import math
import weakref

import pytest
import torch
from torch import nn

from arcterm.runs import store
from arcterm.runs.journal import NullJournal
from arcterm.schedules.rate import learning_rate
from arcterm.train import build
from arcterm.train.guards.finite import FiniteGuard
from arcterm.train.update import Update
from arcterm.train.world import World

from ..runs.conftest import config
from . import test_loop
from .faulty import network, state_of

train = test_loop.train


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A small training with an update and the steps that its follower was called with."""
    monkeypatch.setattr(build, "backbone", lambda config, device: network(nn.Identity()))
    asked = config(nproc=1, batch_size=4, steps=9, loss="cosface", precision="float32")
    trained = build.trained(asked, 8, World())
    run = store.create(tmp_path, asked, label="x", argv=[], host="h")
    followed: list[int] = []
    finite = FiniteGuard(run, asked, World(), trained, NullJournal())
    return asked, trained, Update(asked, World(), trained, finite, [followed.append]), followed


def passed(trained, step):
    generator = torch.Generator().manual_seed(step)
    images = torch.rand(4, 3, 112, 112, generator=generator)
    loss = trained.head(trained.backbone(images), torch.arange(4), step).loss
    loss.backward()
    return loss.detach()


def test_a_step_has_its_rate_and_no_gradient_of_the_last(made):
    asked, trained, update, followed = made
    before = state_of(trained)
    for step in (1, 2):
        assert update.prepare(step) == learning_rate(asked, step)
        assert all(p.grad is None for p in [*trained.backbone.parameters(), *trained.head.parameters()])
        assert update.apply(step, passed(trained, step)) == "updated"
    assert followed == [1, 2]
    assert not torch.equal(before["3.weight"], state_of(trained)["3.weight"])


def test_a_step_that_is_refused_changes_no_weight_and_nothing_follows_it(made):
    _, trained, update, followed = made
    before = state_of(trained)
    update.prepare(1)
    loss = passed(trained, 1)
    trained.backbone[3].weight.grad[0, 0] = torch.nan
    assert update.apply(1, loss) == "refused"
    after = state_of(trained)
    assert all(torch.equal(before[name], after[name]) for name in ("3.weight", "6.weight", "head.weight"))
    assert followed == []


def test_the_norm_of_the_gradient_is_known_and_a_large_one_is_no_fault(made):
    _, trained, update, _ = made
    finite = update._finite
    update.prepare(1)
    loss = passed(trained, 1)
    flat = torch.cat([p.grad.flatten() for p in trained.backbone.parameters()])
    assert update.apply(1, loss) == "updated"
    assert float(finite.norm) == pytest.approx(float(flat.norm()), rel=1e-5)
    update.prepare(2)
    loss = passed(trained, 2)
    with torch.no_grad():
        trained.backbone[3].weight.grad[0, 0] = 1e30  # its square is no float32
    assert not finite.bad(loss) and math.isinf(float(finite.norm))
    assert finite.looks(torch.eye(2)).gradient == math.inf


def test_no_graph_of_a_step_is_alive_in_the_next(train, monkeypatch):
    """What the head gave, and so the graph and the tiles that hang on it, is gone as the backbone begins."""
    make, scored, alive = build.trained, [], []

    def watched(*given):
        trained = make(*given)
        trained.head.register_forward_hook(lambda _, __, output: scored.append(weakref.ref(output.loss)))
        trained.backbone.register_forward_pre_hook(lambda *_: alive.append([r() is not None for r in scored]))
        return trained

    monkeypatch.setattr(build, "trained", watched)
    train("run", steps=3, verify_every=99)
    assert alive[:3] == [[], [False], [False, False]]
