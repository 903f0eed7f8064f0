"""Learning rates against torch's own schedulers."""

from __future__ import annotations

import pytest
import torch

from arcterm.train.schedule import learning_rate

from ..runs.conftest import config


def rates_of(scheduler, optimizer, steps):
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def sgd():
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_poly(power):
    optimizer = sgd()
    theirs = rates_of(torch.optim.lr_scheduler.PolynomialLR(optimizer, 50, power), optimizer, 50)
    ours = [learning_rate(config(lr=0.3, steps=50, power=power), step) for step in range(1, 51)]
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_multistep():
    optimizer = sgd()
    theirs = rates_of(torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 30], 0.2), optimizer, 50)
    chosen = config(lr=0.3, steps=50, schedule="multistep", milestones=[10, 30], gamma=0.2)
    assert [learning_rate(chosen, step) for step in range(1, 51)] == pytest.approx(theirs, rel=1e-9)
