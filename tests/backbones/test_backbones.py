"""Every registered backbone, through the registry: what it declares is what it is."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from arcterm_registry import Backbone, Option, get, names
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from arcterm.overrides import check_settings

from . import meta

pytestmark = pytest.mark.long

NAMES = names("backbone")
SMALL = [name for name in NAMES if get("backbone", name).parameters < 3e6]
TRAINED = [*SMALL, "m1", "m2", "r18", "s20"]


def build(name: str, seed: int = 0) -> nn.Module:
    """With values, and an embedding so short that little is spent on the last layer."""
    torch.manual_seed(seed)
    network: nn.Module = get("backbone", name).make(embedding_size=64)
    return network


def images(name: str, count: int) -> Tensor:
    height, width = get("backbone", name).input_size
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("name", NAMES)
def test_declared_facts(name: str) -> None:
    declared = get("backbone", name)
    network = meta.build(name)
    assert meta.count(network) == declared.parameters
    assert all(p.is_meta for p in network.parameters())
    done = meta.forward(network, meta.images(2, declared.input_size))
    assert done.shape == (2, declared.embedding_size)
    assert done.multiply_adds / 1e9 == pytest.approx(declared.gmacs, rel=0.01)
    assert sorted(done.layers) == sorted(meta.weighted(network)), "each weighted layer is used exactly once"


def test_a_layer_that_is_used_twice_is_seen() -> None:
    layer = nn.Conv2d(3, 3, 1, device="meta")
    network = nn.Sequential(layer, layer)
    assert meta.forward(network, meta.images(1)).layers == ["0", "0"]


@pytest.mark.parametrize("name", ["y1", "vit_t"])
def test_multiply_adds_are_those_of_torchs_counter(name: str) -> None:
    network, x = meta.build(name), meta.images(2)
    with FlopCounterMode(display=False) as counter:
        network(x)
    assert counter.get_total_flops() == 2 * 2 * meta.forward(network, x).multiply_adds


# one network of each check of options
HEADED = ["r18", "r101", "m1", "m2", "i2", "p68", "p92", "d121", "d161", "d169", "d201"]


def test_every_check_of_sizes_is_tried() -> None:
    mapped = [get("backbone", name).check for name in NAMES if "Z" in _choices(name, "output")]
    assert {get("backbone", name).check for name in HEADED} == set(mapped)


def _choices(name: str, option: str) -> tuple[object, ...]:
    found = get("backbone", name).option(option)
    return found.choices if found else ()


@pytest.mark.parametrize("name", HEADED)
def test_a_size_that_an_output_cannot_have_is_refused_before_and_when_building(name: str) -> None:
    declared = get("backbone", name)
    for options in [{"output": "Z", "input": i} for i in _choices(name, "input")[:1]] + [{"output": "Z"}]:
        with pytest.raises(ValueError, match="set embedding_size=") as before:
            declared.check_together(declared.settings(options))
        with pytest.raises(ValueError, match="set embedding_size=") as building:
            meta.build(name, **options)
        assert str(before.value) == str(building.value)
        size = int(str(before.value).rpartition("=")[2])
        declared.check_together(declared.settings({**options, "embedding_size": size}))
    with pytest.raises(ValueError, match="at most 4096"):
        declared.check_together(declared.settings({"embedding_size": 4097}))


@pytest.mark.parametrize("name", ["r18", "r101", "m1", "p68"])
def test_the_stem_of_imagenet_fits_the_output_part(name: str) -> None:
    assert meta.forward(meta.build(name, input=0), meta.images(1)).shape == (1, 512)


@pytest.mark.parametrize("name", NAMES)
def test_options_and_usual_settings_are_taken(name: str) -> None:
    declared = get("backbone", name)
    assert isinstance(declared, Backbone)
    for option in declared.options:
        assert option.help
        assert option.default is not None
        assert option.check(option.default) == option.default
    declared.check_together(declared.settings({}))
    assert check_settings(declared.usual, name) == declared.usual


@pytest.mark.parametrize("name", TRAINED)
def test_embedding_size_is_an_option(name: str) -> None:
    declared = get("backbone", name)
    option = declared.option("embedding_size")
    assert isinstance(option, Option)
    assert option.default == declared.embedding_size
    network = meta.build(name, embedding_size=96)
    assert meta.forward(network, meta.images(2, declared.input_size)).shape == (2, 96)


@pytest.mark.parametrize("name", TRAINED)
def test_trains_and_evaluates(name: str) -> None:
    network, x = build(name), images(name, 2)
    loss = network(x).square().sum()
    loss.backward()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    network.eval()
    with torch.inference_mode():
        both = network(x)
        assert both.isfinite().all()
        assert torch.allclose(both[:1], network(x[:1]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = (build(name, seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", ["r18", "y1"])
def test_weights_start_as_in_2018(name: str) -> None:
    network = build(name)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            rows, *rest = layer.weight.shape
            fan_out = rows * math.prod(rest[1:])
            sample = layer.weight.numel()
            assert layer.weight.std().item() == pytest.approx(
                math.sqrt(2 / fan_out), rel=5 / math.sqrt(sample)
            )
        elif isinstance(layer, nn.PReLU):
            assert (layer.weight == 0.25).all()


@pytest.mark.parametrize("name", ["m1", "m2", "s20"])
def test_other_weights_start_uniform(name: str) -> None:
    for layer in build(name).modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = math.sqrt(2 / layer.weight[0].numel())
            assert layer.weight.abs().max() <= bound
            spread = 5 / math.sqrt(layer.weight.numel())
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=spread)
            assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize(("name", "eps"), [("r18", 2e-5), ("r100", 2e-5), ("y1", 1e-3)])
def test_batch_norms(name: str, eps: float) -> None:
    norms = [m for m in meta.build(name).modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {eps}
    assert [norm.weight.requires_grad for norm in norms] == [True] * (len(norms) - 1) + [False]


def test_the_last_gain_stays_one() -> None:
    network = build("y1")
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.1, weight_decay=0.1)
    frozen = [p for p in network.parameters() if not p.requires_grad]
    network(images("y1", 4)).square().sum().backward()
    optimizer.step()
    assert len(frozen) == 1
    assert (frozen[0] == 1).all()


def test_declarations_load_nothing_heavy() -> None:
    code = "import arcterm.backbones, arcterm.losses, sys; print({'torch', 'numpy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_example_is_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "arcterm-backbone"))
    from arcterm_plain import plain

    network = plain.make()
    done = meta.forward(network, torch.rand(2, 3, *plain.input_size))
    assert done.shape == (2, plain.embedding_size)
    assert meta.count(network) == plain.parameters
    assert done.multiply_adds / 1e9 == pytest.approx(plain.gmacs, rel=0.01)
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.Dropout) for layer in network.modules())
    assert not list(network.buffers())
