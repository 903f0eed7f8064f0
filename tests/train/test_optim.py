"""AdamW and MXNet's SGD against their formulas in float64; what optimizers remember comes back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from arcterm.train.optim import optimizers

from ..runs.conftest import config

RATE, DECAY, BETAS, EPS = 0.02, 0.1, (0.8, 0.999), 1e-8


def gradient(step, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(step), dtype=torch.float64)


def test_adamw_is_its_formula_and_decays_every_parameter():
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    asked = config(optimizer="adamw", lr=RATE, weight_decay=DECAY, momentum=BETAS[0])
    optimizer = optimizers.make([{"params": list(net.parameters())}], asked)
    wanted = {name: p.detach().clone() for name, p in net.named_parameters()}
    mean = {name: torch.zeros_like(p) for name, p in wanted.items()}
    square = {name: torch.zeros_like(p) for name, p in wanted.items()}
    for t in range(1, 6):
        for name, p in net.named_parameters():
            p.grad = g = gradient(t, p.shape)
            mean[name] = BETAS[0] * mean[name] + (1 - BETAS[0]) * g
            square[name] = BETAS[1] * square[name] + (1 - BETAS[1]) * g**2
            unbiased, spread = mean[name] / (1 - BETAS[0] ** t), square[name] / (1 - BETAS[1] ** t)
            wanted[name] = wanted[name] * (1 - RATE * DECAY) - RATE * unbiased / (spread.sqrt() + EPS)
        optimizer.step()
    for name, p in net.named_parameters():
        torch.testing.assert_close(p.detach(), wanted[name], rtol=1e-12, atol=1e-13)


def transcribed(w, rates, momentum, decay):
    """MXNet's SGD by its documentation, number by number; `gradient` gives the gradients."""
    w, m, path = w.copy(), np.zeros_like(w), []
    for step, rate in enumerate(rates):
        g = gradient(step, w.shape).numpy()
        for at in np.ndindex(w.shape):
            m[at] = momentum * m[at] - rate * (g[at] + decay * w[at])
            w[at] += m[at]
        path.append(w.copy())
    return path


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_the_optimizer_of_2018_holds_the_rate_inside_the_momentum(momentum):
    rates = [0.1] * 4 + [0.01] * 8
    start = gradient(99, (4, 3))

    def run(kind):
        p = nn.Parameter(start.clone())
        optimizer = optimizers.make(
            [{"params": [p]}], config(optimizer=kind, lr=0.1, momentum=momentum, weight_decay=0.01)
        )
        path = []
        for step, rate in enumerate(rates):
            optimizer.param_groups[0]["lr"] = rate
            p.grad = gradient(step, p.shape)
            optimizer.step()
            path.append(p.detach().numpy().copy())
        return path

    wanted, ours, torchs = transcribed(start.numpy(), rates, momentum, 0.01), run("legacy"), run("sgd")
    np.testing.assert_allclose(ours, wanted, rtol=1e-12)
    np.testing.assert_allclose(torchs[:4], wanted[:4], rtol=1e-10)
    assert (np.abs(torchs[4] - wanted[4]).max() > 0.05) == (momentum > 0)


@pytest.mark.parametrize("where", [{}, {"device": "cuda", "nproc": 1, "gpus": [0]}], ids=["cpu", "fused"])
@pytest.mark.parametrize("kind", ["sgd", "adamw", "legacy"])
def test_state_comes_back_in_the_parameters_order_in_memory(kind, where):
    """With a GPU's choice of kernels too, which a CPU has as well."""

    def make():
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
        return layer, optimizers.make(
            [{"params": list(layer.parameters())}], config(optimizer=kind, lr=0.1, **where)
        )

    def step(layer, optimizer, number):
        for p in layer.parameters():
            p.grad = torch.empty_like(p).copy_(gradient(number, p.shape)).detach()
        optimizer.step()

    (one, first), (two, second) = make(), make()
    for number in range(3):
        step(one, first, number)
    with torch.no_grad():
        for a, b in zip(two.parameters(), one.parameters(), strict=True):
            a.copy_(b)
    named = dict(one.named_parameters())
    held = {k: v.contiguous().clone() for k, v in optimizers.state(first, named, ".m").items()}
    assert set(held) <= set(optimizers.names(named, ".m"))
    assert set(held) == {f"{n}{s}" for n in named for s in (SUFFIXES if kind == "adamw" else [".m"])}
    optimizers.load(second, dict(two.named_parameters()), held, ".m")
    for value in second.state[two.weight].values():
        assert value.ndim == 0 or value.stride() == two.weight.stride()
    step(one, first, 9)
    step(two, second, 9)
    assert torch.equal(one.weight, two.weight)
    assert not torch.equal(one.weight, make()[0].weight)


SUFFIXES = [".exp_avg", ".exp_avg_sq", ".step"]


def test_a_parameter_that_was_never_updated_has_no_state():
    layer = nn.Linear(2, 2)
    optimizer = optimizers.make([{"params": list(layer.parameters())}], config())
    assert optimizers.state(optimizer, dict(layer.named_parameters()), "") == {}
    assert not optimizer.state
