"""Networks that MXNet built, saved and ran, converted here: every weighted layer gives the same."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from arcterm_registry import get
from torch import Tensor, nn

from arcterm.backbones import densenet, dpn, inception_resnet, mobilefacenet, mobilenet, mobilenetv2
from arcterm.backbones._heads import OutputLayers
from arcterm.backbones.resnet import IResNet
from arcterm.backbones.spherenet import s20
from arcterm.export import layers, mxnet
from arcterm.formats.mxnet import params, symbol
from tests.backbones.meta import settings
from tests.mxnet.conftest import Oracle

pytestmark = pytest.mark.slow
EMBEDDING = 16


def headed(output: str, size: int = EMBEDDING) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 24, 5, 4, 1, bias=False), nn.PReLU(24), OutputLayers(output, 24, 7, size, dropout=0.4)
    )


def inception() -> nn.Module:
    network = inception_resnet.i2(**settings("i2", embedding_size=EMBEDDING))
    network.blocks35 = network.blocks35[:1]
    network.blocks17 = network.blocks17[:1]
    network.blocks8 = network.blocks8[8:]
    return network


resnet = partial(IResNet, (1, 2, 1, 1), **settings("r18", embedding_size=EMBEDDING))
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **{f"head-{output}": partial(headed, output) for output in "EFGHIJBCD"},
    "head-A": partial(headed, "A", 24),
    "head-AX": partial(headed, "AX", 24),
    "head-Z": partial(headed, "Z", 24 * 49),
    "head-GDC": partial(headed, "GDC"),
    "head-GNAP": partial(headed, "GNAP"),
    "head-GNAP-wide": partial(headed, "GNAP", 48),
    "resnet": resnet,
    "resnet-trained": partial(IResNet, (1, 1, 1, 1), **settings("r18", embedding_size=EMBEDDING)),
    "resnet-unit1": partial(resnet, unit=1),
    "resnet-unit1-input0": partial(resnet, unit=1, input=0),
    "resnet-unit2-se": partial(resnet, unit=2, se=True),
    "resnet-unit4": partial(resnet, unit=4),
    "resnet-se-relu": partial(resnet, se=True, activation="relu"),
    "resnet-deep": partial(resnet, bottleneck=True),
    "resnet-deep-unit1-input0": partial(resnet, bottleneck=True, unit=1, input=0),
    "resnet-deep-unit2": partial(resnet, bottleneck=True, unit=2),
    "resnet-deep-input2-se": partial(resnet, bottleneck=True, input=2, se=True),
    "mobilenet": partial(mobilenet.m1, **settings("m1", embedding_size=EMBEDDING, multiplier=0.25)),
    "mobilenet_v2": partial(mobilenetv2.m2, **settings("m2", embedding_size=EMBEDDING)),
    "mobilefacenet": partial(mobilefacenet.y1, **settings("y1", embedding_size=EMBEDDING, blocks="1,1,2,1")),
    "dpn": partial(
        dpn.DPN, dpn._Shape(32, 8, (1, 2, 1, 1), (4, 8, 4, 8)), **settings("p68", embedding_size=EMBEDDING)
    ),
    "densenet": partial(densenet.DenseNet, (1, 2, 1, 1), 40, **settings("d121", embedding_size=EMBEDDING)),
    "inception": inception,
    "spherenet": partial(s20, EMBEDDING),
}


@pytest.fixture(scope="module")
def built(oracle: Oracle) -> Iterator[Path]:
    """What MXNet saved of every network; half a gigabyte that doesn't outlive the tests."""
    with tempfile.TemporaryDirectory() as folder:
        oracle("networks", Path(folder))
        yield Path(folder)


class Case:
    """A network as MXNet saved it, with what it computed."""

    def __init__(self, built: Path, name: str) -> None:
        self.symbol = symbol.read(built / f"{name}-symbol.json")
        self.arrays = params.read(built / f"{name}-0000.params")
        saved = np.load(built / f"{name}.npz")
        self.order = saved["order"].tolist()
        self.images, self.embeddings = torch.from_numpy(saved["images"]), saved["embeddings"].reshape(2, -1)
        self.samples = [saved[key] for key in sorted(saved) if key.startswith("layer")]
        self.size = (self.images.shape[2], self.images.shape[3])

    def apart(self, network: nn.Module) -> float:
        """How far a network's embeddings are from MXNet's, at most."""
        with torch.no_grad():
            return float(np.abs(network.eval()(self.normalised()).numpy() - self.embeddings).max())

    def normalised(self) -> Tensor:
        mean, scale = self.symbol.preprocess() or (0.0, 1.0)
        return (self.images - mean) * scale


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_gives_what_mxnet_gives(built: Path, name: str) -> None:
    case = Case(built, name)
    network = NETWORKS[name]().eval()
    fit = mxnet.load_into(network, case.symbol, case.arrays, case.size)
    assert not fit.missing
    assert not fit.unexpected
    found: list[np.ndarray] = []
    for _, module in layers.in_order(network, case.size):
        module.register_forward_hook(lambda _module, _inputs, output: found.append(sampled(output)))
    assert case.symbol.preprocess() == (127.5, 0.0078125)
    apart = case.apart(network)
    assert len(found) == len(case.samples)
    for ours, theirs in zip(found, case.samples, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1, np.abs(theirs).max()))
    assert apart <= 1e-4
    assert 0.5 < np.abs(case.embeddings).max() < 100  # so that 1e-4 is neither much nor nothing
    assert np.abs(case.embeddings[0] - case.embeddings[1]).max() > 0.1


def sampled(output: Tensor) -> np.ndarray:
    """The values that the oracle keeps of a layer's output; a copy, since activations work in place."""
    flat = output.flatten()
    return flat[:: max(1, flat.numel() // 2048)].clone().numpy()


def test_every_network_of_the_oracle_is_compared(built: Path) -> None:
    assert {path.name.removesuffix("-symbol.json") for path in built.glob("*-symbol.json")} == set(NETWORKS)


@pytest.mark.parametrize("name", NETWORKS)
def test_nodes_are_walked_in_mxnets_order(built: Path, name: str) -> None:
    case = Case(built, name)
    ours = [node.name for node in case.symbol.in_order()]
    assert ours == case.order[: len(ours)]
    assert len(case.order) - len(ours) == (name == "resnet-trained")  # there it ends in a BlockGrad


def test_class_weights_of_a_training_are_found_and_left_out(built: Path) -> None:
    case = Case(built, "resnet-trained")
    head = mxnet.head_of(case.arrays)
    assert head is not None
    assert head.shape == (10, EMBEDDING)
    used = {name for layer in case.symbol.layers() for name in layer.arrays.values()}
    assert {name[4:] for name in case.arrays} - used == {"fc7_weight"}


def without(case: Case, **change: object) -> list[layers.Layer]:
    return [
        replace(layer, **change) if layer.kind == "batch norm" else layer
        for layer in mxnet.layers_of(case.symbol, case.arrays)
    ]


@pytest.mark.parametrize(("name", "change"), [("mobilenet", {"frozen": False}), ("inception", {"eps": 0.0})])
def test_the_comparison_sees_a_rule_that_is_left_out(
    built: Path, name: str, change: dict[str, object]
) -> None:
    case = Case(built, name)
    network = NETWORKS[name]()
    layers.fill(without(case, **change), layers.in_order(network, case.size))
    if "eps" in change:  # eps of a plain 2e-5 instead of the 1e-3 that goes unsaid
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 2e-5
    assert case.apart(network) > 1e-3


def test_the_comparison_sees_how_averages_count_padding(built: Path) -> None:
    case = Case(built, "inception")
    network = NETWORKS["inception"]()
    mxnet.load_into(network, case.symbol, case.arrays, case.size)
    assert case.apart(network) <= 1e-4
    for module in network.modules():
        if isinstance(module, nn.AvgPool2d):
            module.count_include_pad = False
    assert case.apart(network) > 1e-3


@pytest.fixture(scope="module")
def planned(oracle: Oracle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Symbols of the full-size networks and the shapes of their arrays, without values."""
    folder = tmp_path_factory.mktemp("plans")
    oracle("plans", folder)
    return folder


OF_2018 = [
    "r18",
    "r34",
    "r50",
    "r74",
    "r90",
    "r100",
    "r101",
    "r152",
    "r200",
    "r269",
    "m1",
    "m2",
    "y1",
    "i2",
    "p68",
    "p92",
    "p107",
    "p131",
    "d121",
    "d161",
    "d169",
    "d201",
    "s20",
    "s36",
    "s60",
    "s64",
    "s104",
]


@pytest.mark.parametrize("name", OF_2018)
def test_full_size_networks_have_mxnets_layers_in_its_order(planned: Path, name: str) -> None:
    shapes = json.loads((planned / f"{name}.json").read_text())
    theirs = symbol.read(planned / f"{name}-symbol.json").layers()
    with torch.device("meta"):
        network = get("backbone", name).make(embedding_size=512)
    kinds = {"convolution": "conv", "linear": "fc", "batch norm": "bn", "PReLU": "prelu"}
    assert [
        (kinds[layers.kind_of(module)], layers.shape_of(module))
        for _, module in layers.in_order(network, (112, 112))
    ] == [
        (layer.kind, tuple(shapes[layer.arrays.get("weight") or layer.arrays["gamma"]])) for layer in theirs
    ]
    learnt = [key for layer in theirs for role, key in layer.arrays.items() if "moving" not in role]
    assert len(learnt) == len(set(learnt))
    assert sum(math.prod(shapes[key]) for key in learnt) == get("backbone", name).parameters


def test_every_full_size_network_of_the_oracle_is_compared(planned: Path) -> None:
    assert {path.stem for path in planned.glob("*.json") if "-" not in path.stem} == set(OF_2018)
