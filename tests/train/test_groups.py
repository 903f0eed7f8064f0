"""What decays, at which rate, and what is frozen."""

from __future__ import annotations

import pytest
import torch
from arcterm_registry import get
from torch import nn
from torch.optim import SGD

from arcterm.errors import ConfigError
from arcterm.train import build
from arcterm.train.head.head import Head
from arcterm.train.head.partial_fc import LazySGD
from arcterm.train.optim import groups, optimizers
from arcterm.train.world import World

from ..runs.conftest import config


class StrangersNorm(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, 4, 1, 1))


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.PReLU(4), StrangersNorm())


@pytest.mark.parametrize(
    ("decay_on", "spared"),
    [
        ("all", set()),
        ("no-norms", {"1.weight", "1.bias", "3.gain"}),
        ("no-vectors", {"0.bias", "1.weight", "1.bias", "2.weight", "3.gain"}),
    ],
)
def test_decay_acts_on_what_it_is_said_to(decay_on, spared):
    made = network()
    found = groups.of_backbone(made, config(decay_on=decay_on, weight_decay=0.1))
    named = {parameter: name for name, parameter in made.named_parameters()}
    plain = {named[p] for group in found for p in group["params"] if group["weight_decay"] == 0}
    decayed = [named[p] for group in found for p in group["params"] if group["weight_decay"] == 0.1]
    assert plain == spared
    assert sorted([*plain, *decayed]) == sorted(named.values())


@pytest.mark.parametrize("sample_rate", [1.0, 0.3])
@pytest.mark.parametrize("kind", ["sgd", "legacy"])
def test_the_head_has_its_own_rate_and_decay(kind, sample_rate):
    """Class weights, a bias that does not decay, and a rate that falls: against a formula in float64."""
    asked = config(
        optimizer=kind,
        loss="softmax",
        head_lr_factor=10,
        head_decay=0.02,
        decay_on="no-vectors",
        momentum=0.9,
    )
    torch.manual_seed(0)
    head = Head(20, 4, get("loss", "softmax").make(), World(), 0, sample_rate=sample_rate).double()
    wanted = {name: p.detach().clone() for name, p in head.sharded().items()}
    moving = {name: torch.zeros_like(p) for name, p in wanted.items()}
    optimizer = build.head_optimizer(head, asked)
    for step in range(1, 30):
        generator = torch.Generator().manual_seed(step)
        rows = (
            torch.randperm(20, generator=generator)[:6].sort().values if sample_rate < 1 else torch.arange(20)
        )
        leaves = head.fetch(rows) if sample_rate < 1 else head.sharded()
        rate = 0.01 / step
        optimizers.set_rate(optimizer, rate)
        for name, leaf in leaves.items():
            leaf.grad = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
            whole = torch.zeros_like(wanted[name]).index_copy_(0, rows, leaf.grad)
            entering = whole + (0.02 if name == "weight" else 0.0) * wanted[name]
            if kind == "sgd":
                moving[name] = 0.9 * moving[name] + entering
                wanted[name] = wanted[name] - 10 * rate * moving[name]
            else:
                moving[name] = 0.9 * moving[name] - 10 * rate * entering
                wanted[name] = wanted[name] + moving[name]
        optimizer.step()
    if isinstance(optimizer, LazySGD):
        optimizer.settle()
    for name, parameter in head.sharded().items():
        torch.testing.assert_close(parameter.detach(), wanted[name], rtol=1e-11, atol=1e-12)


def test_a_frozen_part_neither_learns_nor_moves_its_statistics():
    asked = config(freeze="0-1, 3", bn_momentum=0.25)
    made = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Flatten()
    )
    groups.prepare(made, asked)
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    with groups.evaluating(made):
        assert not any(module.training for module in made.modules())
    optimizer = optimizers.make(groups.of_backbone(made, asked), asked)
    made(torch.randn(5, 3, 8, 8)).square().mean().backward()
    optimizer.step()
    moved = {name for name, tensor in made.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"2.weight", "2.bias"}
    assert made[1].momentum == 0.25
    assert groups.words("backbone", made, groups.of_backbone(made, asked)) == (
        "backbone 148 with decay 0.0005, 128 frozen"
    )


@pytest.mark.parametrize("names", ["conv9", "1-0", "0-9", "head9"])
def test_a_part_that_is_not_there_is_named_with_those_that_are(names):
    with pytest.raises(ConfigError, match="has no part") as error:
        groups.prepare(network(), config(freeze=names))
    assert "0, 1, 2, 3" in error.value.hint


def test_batch_norms_that_are_not_there_are_refused():
    with pytest.raises(ConfigError, match="no batch norms"):
        groups.prepare(nn.Linear(2, 2), config(bn_momentum=0.1))


def test_something_must_learn():
    with pytest.raises(ConfigError, match="nothing learns"):
        config(freeze="head, backbone")


def test_all_parts_of_a_backbone_and_the_head_are_not_frozen_together():
    names = [name for name, _ in build.backbone(config(), torch.device("cpu")).named_children()]
    everything = ",".join(names)
    assert build.trained(config(freeze=everything), 4, World()).head.weight.requires_grad
    with pytest.raises(ConfigError, match="nothing learns"):
        build.trained(config(freeze=f"{everything},head"), 4, World())


def test_an_update_is_one_pass():
    for device in ("cuda", "cpu"):
        assert optimizers.implementation(device) == {"fused": True}
    assert optimizers.implementation("mps") == {}
    parameter = nn.Parameter(torch.ones(2))
    for kind in ("sgd", "adamw"):
        asked = config(optimizer=kind, device="cuda", nproc=1, gpus=[0])
        assert optimizers.make([{"params": [parameter]}], asked).defaults["fused"] is True
    assert (
        type(optimizers.make([{"params": [parameter]}], config(optimizer="legacy"))) is optimizers.LegacySGD
    )
    assert isinstance(optimizers.make([{"params": [parameter]}], config()), SGD)
