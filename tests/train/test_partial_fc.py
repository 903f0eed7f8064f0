"""Rows updated only when they are needed, against SGD on dense gradients."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.optim import SGD

from arcterm.train.head import partial_fc
from arcterm.train.head.partial_fc import LazySGD
from arcterm.train.optim.optimizers import LegacySGD

ROWS, SIZE = 60, 4


def rate(step):
    return 0.3 * (1 - step / 900) ** 2


def run(steps, *, factor=1.0, after=None, kind=SGD, legacy=False, fused=False):
    """A lazy and a dense SGD on the same gradients of a few rows a step; what both end in."""
    generator = torch.Generator().manual_seed(1)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    start = {"weight": normal(ROWS, SIZE), "bias": normal(ROWS)}
    dense = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    own = {name: nn.Parameter(value.clone()) for name, value in start.items()}
    settings = {"lr": 1.0, "momentum": 0.9, "weight_decay": 5e-3}
    plain, sparse = (
        kind(dense.values(), **settings),
        LazySGD(own, [{"params": list(own.values())}], **settings, legacy=legacy, fused=fused),
    )
    for step in range(1, steps + 1):
        rows = torch.randperm(ROWS, generator=generator)[:3].sort().values
        gradients = {"weight": normal(3, SIZE), "bias": normal(3)}
        plain.param_groups[0]["lr"] = rate(step)
        sparse.param_groups[0]["lr"] = rate(step) * factor
        leaves = sparse.fetch(rows)
        for name, gradient in gradients.items():
            torch.testing.assert_close(leaves[name], dense[name][rows], rtol=1e-12, atol=1e-12)
            dense[name].grad = torch.zeros_like(dense[name]).index_copy_(0, rows, gradient)
            leaves[name].grad = gradient
        plain.step()
        sparse.step()
        if after:
            after(step, sparse)
    sparse.settle()
    moving = {n: sparse.state[p]["momentum_buffer"] for n, p in own.items()}
    wanted = {n: plain.state[p]["momentum_buffer"] for n, p in dense.items()}
    return own, dense, moving, wanted


@pytest.mark.parametrize(("window", "fused"), [(4096, False), (16, False), (4096, True)])
def test_rows_end_as_with_dense_gradients(window, fused, monkeypatch):
    monkeypatch.setattr(partial_fc, "_WINDOW", window)
    own, dense, moving, wanted = run(400, fused=fused)
    for name in own:
        torch.testing.assert_close(own[name], dense[name], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(moving[name], wanted[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("window", [4096, 16])
def test_rows_of_mxnets_sgd_end_as_with_dense_gradients(window, monkeypatch):
    monkeypatch.setattr(partial_fc, "_WINDOW", window)
    own, dense, moving, wanted = run(400, kind=LegacySGD, legacy=True)
    for name in own:
        torch.testing.assert_close(own[name], dense[name], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(moving[name], wanted[name], rtol=1e-12, atol=1e-12)


def test_the_comparison_would_notice_another_learning_rate_or_optimizer():
    with pytest.raises(AssertionError):
        run(20, factor=1.0001)
    with pytest.raises(AssertionError):
        run(20, legacy=True)


def test_rows_that_are_not_fetched_are_not_touched():
    before = nn.Parameter(torch.randn(ROWS, SIZE))
    sparse = LazySGD({"weight": before}, [{"params": [before]}], lr=0.1, momentum=0.9, weight_decay=5e-4)
    kept = before.detach().clone()
    rows = torch.tensor([3, 50])
    sparse.fetch(rows)["weight"].square().sum().backward()
    sparse.step()
    changed = (before.detach() != kept).any(1).nonzero()[:, 0]
    assert torch.equal(changed, rows)


def test_what_a_checkpoint_holds_continues_in_the_same_bits():
    def steps(sparse, first, last):
        for step in range(first, last):
            sparse.param_groups[0]["lr"] = rate(step)
            generator = torch.Generator().manual_seed(step)
            leaf = sparse.fetch(torch.randperm(ROWS, generator=generator)[:3])["weight"]
            leaf.grad = torch.randn(leaf.shape, generator=generator)
            sparse.step()

    def make():
        weight = nn.Parameter(torch.ones(ROWS, SIZE))
        return weight, LazySGD(
            {"weight": weight}, [{"params": [weight]}], lr=0.1, momentum=0.9, weight_decay=5e-4
        )

    (one, through), (two, stopped), (three, resumed) = make(), make(), make()
    steps(through, 1, 30)
    steps(stopped, 1, 17)
    with torch.no_grad():
        three.copy_(two)
    resumed.state[three]["momentum_buffer"].copy_(stopped.state[two]["momentum_buffer"])
    resumed.touched.copy_(stopped.touched)
    resumed.restore({name: value.clone() for name, value in stopped.replay().items()})
    steps(resumed, 17, 30)
    assert torch.equal(one, three)


@pytest.mark.parametrize("shape", [(), (3,), (4,), (2, 8)])
def test_rows_of_any_size_get_into_their_places(shape):
    drawn, rows = torch.randn(20, *shape), torch.randn(5, *shape)
    index = torch.tensor([2, 3, 7, 11, 19])
    wanted = drawn.index_copy(0, index, rows)
    partial_fc.put(nn.Parameter(drawn), index, rows)
    assert torch.equal(drawn, wanted)
