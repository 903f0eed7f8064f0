"""AdamW by rows, against torch's own with a parameter for each row."""

from __future__ import annotations

import pytest
import torch
from arcterm_registry import get
from torch import nn
from torch.optim import AdamW

from arcterm.train import build
from arcterm.train.head.head import Head
from arcterm.train.head.lazy_adamw import LazyAdamW
from arcterm.train.optim.optimizers import set_rate
from arcterm.train.world import World

from ..runs.conftest import config

ROWS, SIZE = 30, 4


def run(steps, *, first=0.9, after=None, factor=1.0):
    """By rows, and with one torch parameter a row that has a gradient only in its steps; both ends."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    start, bias = normal(ROWS, SIZE), normal(ROWS)
    own = {"weight": nn.Parameter(start.clone()), "bias": nn.Parameter(bias.clone())}
    singles = {name: [nn.Parameter(row.clone()) for row in p.detach()] for name, p in own.items()}
    other, twin = (nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))

    def share_out(of, last):
        return [
            {"params": of["weight"], "weight_decay": 0.1},
            {"params": [*of["bias"], last], "weight_decay": 0.0},
        ]

    how = {"lr": 1.0, "betas": (first, 0.999)}
    lazy = LazyAdamW(own, share_out({name: [p] for name, p in own.items()}, other), **how)
    plain = AdamW(share_out(singles, twin), **how)
    for step in range(1, steps + 1):
        rows = torch.randperm(ROWS, generator=generator)[:3].sort().values
        leaves = lazy.fetch(rows)
        set_rate(lazy, 0.1 / step * factor)
        set_rate(plain, 0.1 / step)
        plain.zero_grad(set_to_none=True)
        for name, leaf in leaves.items():
            leaf.grad = normal(*leaf.shape)
            for place, row in enumerate(rows.tolist()):
                singles[name][row].grad = leaf.grad[place].clone()
        other.grad = twin.grad = normal(3)
        lazy.step()
        plain.step()
        if after:
            after(lazy)
    return own, {name: torch.stack(list(rows)) for name, rows in singles.items()}, (other, twin)


@pytest.mark.parametrize("first", [0.9, 0.0])
def test_a_row_is_a_parameter_of_its_own(first):
    own, wanted, (other, twin) = run(50, first=first)
    for name, parameter in own.items():
        torch.testing.assert_close(parameter.detach(), wanted[name].detach(), rtol=1e-12, atol=1e-12)
    assert torch.equal(other, twin)


def test_the_comparison_would_notice_another_rate_or_count():
    with pytest.raises(AssertionError):
        own, wanted, _ = run(20, factor=1.0001)
        torch.testing.assert_close(own["weight"].detach(), wanted["weight"].detach(), rtol=1e-9, atol=1e-9)
    with pytest.raises(AssertionError):
        own, wanted, _ = run(20, after=lambda lazy: lazy.updates.add_(1))
        torch.testing.assert_close(own["weight"].detach(), wanted["weight"].detach(), rtol=1e-9, atol=1e-9)


def test_a_head_that_compares_with_a_share_of_the_classes_learns_with_adamw():
    asked = config(optimizer="adamw", loss="cosface", sample_rate=0.2, lr=0.01, weight_decay=0.1)
    head = Head(60, SIZE, get("loss", "cosface").make(), World(), 0, sample_rate=0.2)
    optimizer = build.head_optimizer(head, asked)
    before = head.weight.detach().clone()
    images = torch.randn(6, SIZE, generator=torch.Generator().manual_seed(0))
    losses = []
    for step in range(1, 9):
        optimizer.zero_grad(set_to_none=True)
        loss = head(images, torch.arange(6), step).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    untouched = optimizer.updates == 0
    assert 0 < int(untouched.sum()) < 54
    assert torch.equal(head.weight[untouched], before[untouched])
    assert torch.equal(optimizer.updates[:6], torch.full((6,), 8))
