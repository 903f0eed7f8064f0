"""DenseNet against the 2018 table, torchvision's published counts, and a layer written out in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcterm.backbones import densenet

from . import meta

# inputs of the embedding layer, channels of the 7×7 map
TABLE = {"d121": (50_176, 1024), "d161": (108_192, 2208), "d169": (81_536, 1664), "d201": (94_080, 1920)}
# torchvision's ImageNet networks: the same body, a closing BN, 1000 classes
IMAGENET = {"d121": 7_978_856, "d161": 28_681_000, "d169": 14_149_480, "d201": 20_013_928}


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    flat, channels = TABLE[name]
    assert meta.build(name).head.fc.in_features == flat == channels * 7 * 7


@pytest.mark.parametrize("name", IMAGENET)
def test_published_imagenet_counts(name: str) -> None:
    network = meta.build(name, input=0)
    channels = TABLE[name][1]
    closing_and_classes = 2 * channels + channels * 1000 + 1000
    body = meta.count(network.stem) + meta.count(network.stages)
    assert body - meta.count(network.stem.relu0) + closing_and_classes == IMAGENET[name]


def test_norms_and_dropouts() -> None:
    network = meta.build("d121", dropout=0.3, block_dropout=0.1)
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
    assert {m.eps for m in norms} == {2e-5}
    assert [name for name, p in network.named_parameters() if not p.requires_grad] == ["head.features.weight"]
    rates = [m.p for m in network.stages.modules() if isinstance(m, nn.Dropout)]
    convolutions = [m for m in network.stages.modules() if isinstance(m, nn.Conv2d)]
    assert rates == [0.1] * len(convolutions)
    assert len(convolutions) == 2 * 58 + 3
    assert network.head.dropout.p == 0.3


@pytest.mark.long
def test_layers_run_in_the_order_of_the_symbol() -> None:
    expected = [64, 64, 64, 64]
    for layers, transition in ((6, 128), (12, 256), (24, 512), (16, 0)):
        expected += [128, 32] * layers + [transition] * (transition > 0)
    network = meta.build("d121")
    ran = [network.get_submodule(name) for name in meta.forward(network, meta.images(1)).layers]
    assert [layer.out_channels for layer in ran if isinstance(layer, nn.Conv2d)] == expected


@pytest.mark.long
@pytest.mark.parametrize(("input", "sides"), [(1, (56, 7)), (0, (28, 3))])
def test_maps(input: int, sides: tuple[int, int]) -> None:
    """Transitions round down: with the stem of ImageNet 7×7 becomes 3×3."""
    network = meta.build("d121", input=input)
    first = meta.forward(network.stem, meta.images(1)).shape
    assert first == (1, 64, sides[0], sides[0])
    last = meta.forward(network.stages, torch.empty(first, device="meta")).shape
    assert last == (1, 1024, sides[1], sides[1])


def convolve(norm: nn.BatchNorm2d, conv: nn.Conv2d, x: Tensor) -> Tensor:
    """BN, ReLU, convolution, written out."""
    shape = (1, -1, 1, 1)
    x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 2e-5).sqrt()
    x = (x * norm.weight.view(shape) + norm.bias.view(shape)).clamp_min(0)
    return F.conv2d(x, conv.weight, padding=conv.padding)


def test_a_layer_appends_to_its_input() -> None:
    torch.manual_seed(0)
    layer = densenet.DenseLayer(6, 3, 0.2).double().eval()
    for tensor in (*layer.parameters(), *layer.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5)
    norm1, _, conv1, _, norm2, _, conv2, _ = layer.body
    x = torch.randn(2, 6, 5, 5).double()
    with torch.no_grad():
        new = convolve(norm2, conv2, convolve(norm1, conv1, x))
        ours = layer(x)
    assert torch.allclose(ours, torch.cat((x, new), 1), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(ours, torch.cat((new, x), 1))


def test_weights_start_uniform() -> None:
    torch.manual_seed(0)
    network = densenet.DenseNet((1, 1, 1, 1), 32, **meta.settings("d121", embedding_size=32, input=0))
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = math.sqrt(2 / layer.weight[0].numel())
            assert 0.98 * bound < layer.weight.abs().max() <= bound
            assert layer.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_trains() -> None:
    torch.manual_seed(0)
    network = densenet.DenseNet((1, 1, 1, 1), 32, **meta.settings("d121", embedding_size=32))
    loss = network(torch.randn(2, 3, 112, 112)).square().sum()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)
