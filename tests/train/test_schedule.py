"""Learning rates against torch's own schedulers and arcface_torch's warm-up."""

from __future__ import annotations

import pytest
import torch

from arcterm.schedules.rate import learning_rate

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


def ours(**changes):
    chosen = config(lr=0.3, steps=50, **changes)
    return [learning_rate(chosen, step) for step in range(1, 51)]


def upstream(iteration, warmup, total, power):
    """PolynomialLRWarmup of arcface_torch in closed form, as a share of the rate; `iteration` from 0."""
    if iteration <= warmup:
        return iteration / warmup
    return (1 - (iteration - warmup) / (total - warmup)) ** power


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_poly(power):
    optimizer = sgd()
    theirs = rates_of(torch.optim.lr_scheduler.PolynomialLR(optimizer, 50, power), optimizer, 50)
    assert ours(power=power) == pytest.approx(theirs, rel=1e-9)


def test_linear_is_poly_with_power_1_and_ends_where_it_is_to():
    assert ours(schedule="linear") == pytest.approx(ours(power=1.0), rel=1e-12)
    optimizer = sgd()
    theirs = rates_of(torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, total_iters=50), optimizer, 50)
    assert ours(schedule="linear", final_rate=0.1) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("end", [0.0, 0.01])
def test_cosine(end):
    optimizer = sgd()
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=0.3 * end)
    assert ours(schedule="cosine", final_rate=end) == pytest.approx(
        rates_of(scheduler, optimizer, 50), rel=1e-9
    )


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_after_a_warm_up_the_rest_falls_as_a_run_of_its_length_would(schedule):
    rates = ours(schedule=schedule, warmup=0.2, final_rate=0.1)
    assert rates[:10] == pytest.approx([0.03 * step for step in range(1, 11)])
    rest = config(lr=0.3, steps=40, schedule=schedule, final_rate=0.1)
    assert rates[10:] == pytest.approx([learning_rate(rest, step) for step in range(1, 41)], rel=1e-12)


def test_multistep():
    optimizer = sgd()
    theirs = rates_of(torch.optim.lr_scheduler.MultiStepLR(optimizer, [10, 30], 0.2), optimizer, 50)
    found = ours(schedule="multistep", milestones=[10, 30], gamma=0.2)
    assert found == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_warmup_is_arcface_torchs_without_its_step_at_rate_zero(power):
    rates = ours(warmup=0.2, power=power)
    assert rates[:10] == pytest.approx([0.3 * upstream(i, 10, 50, power) for i in range(1, 11)], rel=1e-12)
    assert rates[10:] == pytest.approx([0.3 * upstream(i, 10, 50, power) for i in range(10, 50)], rel=1e-12)
    assert min(rates) > 0


def test_warmup_multiplies_the_milestones():
    plain = ours(schedule="multistep", milestones=[5, 30])
    rising = ours(schedule="multistep", milestones=[5, 30], warmup=0.2)
    assert rising == pytest.approx([rate * min(1, step / 10) for step, rate in enumerate(plain, 1)])


@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.999])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_short_run_has_rates_too(steps, warmup):
    chosen = config(lr=0.3, steps=steps, warmup=warmup)
    assert all(0 < learning_rate(chosen, step) <= 0.3 for step in range(1, steps + 1))
