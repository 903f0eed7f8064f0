"""Every registered backbone, through the registry: what it declares is what it is."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from arcterm_registry import Option, get, names
from torch import Tensor, nn

NAMES = names("backbone")
SMALL = [name for name in NAMES if get("backbone", name).gmacs < 1]
TRAINED = [*SMALL, "r18"]


def build(name: str, device: str = "cpu", seed: int = 0, **options: float) -> nn.Module:
    torch.manual_seed(seed)
    with torch.device(device):
        return get("backbone", name).load()(**options)


def images(name: str, count: int, device: str = "cpu") -> Tensor:
    height, width = get("backbone", name).input_size
    if device == "meta":
        return torch.empty(count, 3, height, width, device="meta")
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1)) * 2 - 1


def measure(network: nn.Module, x: Tensor) -> tuple[torch.Size, int]:
    """Shape of the output for `x`; multiply-adds of convolutions and linear layers for one image."""
    total = 0

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal total
        weight = layer.get_parameter("weight")
        total += weight[0].numel() * output[0].numel()

    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    return network(x).shape, total


@pytest.mark.parametrize("name", NAMES)
def test_declared_facts(name: str) -> None:
    declared = get("backbone", name)
    network = build(name, "meta").eval()
    assert sum(p.numel() for p in network.parameters()) == declared.parameters
    assert all(p.is_meta for p in network.parameters())
    shape, multiply_adds = measure(network, images(name, 2, "meta"))
    assert shape == (2, declared.embedding_size)
    assert multiply_adds / 1e9 == pytest.approx(declared.gmacs, rel=0.01)


@pytest.mark.parametrize("name", TRAINED)
def test_embedding_size_is_an_option(name: str) -> None:
    declared = get("backbone", name)
    option = declared.option("embedding_size")
    assert isinstance(option, Option)
    assert option.default == declared.embedding_size
    network = build(name, "meta", embedding_size=96)
    assert network(images(name, 2, "meta")).shape == (2, 96)


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


@pytest.mark.parametrize(("name", "eps"), [("r18", 2e-5), ("r100", 2e-5), ("y1", 1e-3)])
def test_batch_norms(name: str, eps: float) -> None:
    network = build(name, "meta")
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)]
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


@pytest.mark.parametrize(("size", "parameters"), [(128, 1_003_264), (256, 1_069_184)])
def test_mobilefacenet_at_other_sizes(size: int, parameters: int) -> None:
    assert sum(p.numel() for p in build("y1", "meta", embedding_size=size).parameters()) == parameters


def test_declarations_load_nothing_heavy() -> None:
    code = "import arcterm.backbones, arcterm.losses, sys; print({'torch', 'numpy'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_example_is_what_it_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "examples" / "arcterm-backbone"))
    from arcterm_plain import plain

    network = plain.load()()
    shape, multiply_adds = measure(network, torch.rand(2, 3, *plain.input_size))
    assert shape == (2, plain.embedding_size)
    assert sum(p.numel() for p in network.parameters()) == plain.parameters
    assert multiply_adds / 1e9 == pytest.approx(plain.gmacs, rel=0.01)
    assert not any(isinstance(layer, nn.BatchNorm2d | nn.Dropout) for layer in network.modules())
    assert not list(network.buffers())
