"""Inception-ResNet-v2 against the 2018 table, its layers in the symbol's order, and a block written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcterm.backbones import inception_resnet

from . import meta

# by `input`: sides of the maps after stem, blocks of 35, of 17 and the last
SIDES = {1: (52, 52, 25, 12), 0: (25, 25, 12, 5)}

# outputs of the convolutions, branch after branch, each block's projection last
STEM = [32, 32, 64, 80, 192, 96, 48, 64, 64, 96, 96, 64]
BLOCK35 = [32, 32, 32, 32, 48, 64, 320]
REDUCTION_A = [384, 256, 256, 384]
BLOCK17 = [192, 129, 160, 192, 1088]
REDUCTION_B = [256, 384, 256, 288, 256, 288, 320]
BLOCK8 = [192, 192, 224, 256, 2080]
ORDER = [*STEM, *BLOCK35 * 10, *REDUCTION_A, *BLOCK17 * 20, *REDUCTION_B, *BLOCK8 * 10, 1536]


@pytest.mark.long
@pytest.mark.parametrize("input", SIDES)
def test_maps_and_the_order_of_the_symbol(input: int) -> None:
    network = meta.build("i2", input=input)
    maps: list[torch.Size] = []
    for part in (network.stem, network.blocks35, network.blocks17, network.last):
        part.register_forward_hook(lambda _, __, output: maps.append(output.shape[1:]))
    ran = [network.get_submodule(name) for name in meta.forward(network, meta.images(1)).layers]
    assert [layer.out_channels for layer in ran if isinstance(layer, nn.Conv2d)] == ORDER
    channels = (320, 320, 1088, 1536)
    assert maps == [(c, side, side) for c, side in zip(channels, SIDES[input], strict=True)]
    assert network.head.fc.in_features == 1536 * SIDES[input][3] ** 2


@pytest.mark.long
def test_gains_are_frozen_and_convolutions_biased() -> None:
    network = meta.build("i2")
    norms = {name: m for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)}
    body = [m for name, m in norms.items() if not name.startswith("head")]
    assert {m.eps for m in body} == {1e-3}
    assert not any(m.weight.requires_grad for m in body)
    assert norms["head.bn2"].weight.requires_grad
    assert norms["head.bn2"].eps == 2e-5
    assert not norms["head.features"].weight.requires_grad
    assert all(m.bias is not None for m in network.modules() if isinstance(m, nn.Conv2d))
    assert all(p.requires_grad for name, p in network.named_parameters() if name.endswith("bias"))


def test_the_average_counts_the_padding() -> None:
    pool = next(m for m in inception_resnet._mixed().modules() if isinstance(m, nn.AvgPool2d))
    pooled = pool(torch.ones(1, 1, 4, 4, dtype=torch.float64))
    assert pooled[0, 0, 0, 0].item() == pytest.approx(4 / 9)
    assert pooled[0, 0, 0, 1].item() == pytest.approx(6 / 9)
    assert pooled[0, 0, 1, 1].item() == pytest.approx(1)


def convolve(layers: list[nn.Module], x: Tensor, padding: tuple[int, int]) -> Tensor:
    """Convolution with a bias, BN with a gain of 1, written out."""
    conv, norm = layers
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    x = F.conv2d(x, conv.weight) + conv.bias.view(1, -1, 1, 1)
    x = (x - norm.running_mean.view(1, -1, 1, 1)) / (norm.running_var.view(1, -1, 1, 1) + 1e-3).sqrt()
    return x + norm.bias.view(1, -1, 1, 1)


def test_block17_written_out() -> None:
    torch.manual_seed(0)
    block = inception_resnet._block17().double().eval()
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.running_mean, layer.running_var, layer.bias):
                nn.init.uniform_(tensor, 0.5, 1.5)
    x = torch.randn(1, 1088, 4, 5).double()
    with torch.no_grad():
        wide, chain = (list(branch) for branch in block.branches)
        left = convolve(wide[:2], x, (0, 0)).clamp_min(0)
        right = convolve(chain[:2], x, (0, 0)).clamp_min(0)
        right = convolve(chain[3:5], right, (1, 2)).clamp_min(0)
        assert right.shape[2:] == (6, 3)
        right = convolve(chain[6:8], right, (2, 1)).clamp_min(0)
        ours = block(x)

        def output(scale: float, *mixed: Tensor) -> Tensor:
            added = convolve(list(block.project), torch.cat(mixed, 1), (0, 0))
            return (x + scale * added).clamp_min(0)

        assert torch.allclose(ours, output(0.1, left, right), rtol=1e-12, atol=1e-12)
        assert not torch.allclose(ours, output(0.1, right, left))
        assert not torch.allclose(ours, output(0.17, left, right))


@pytest.mark.long
def test_only_the_last_block_has_no_activation() -> None:
    network = meta.build("i2")
    blocks = [*network.blocks35, *network.blocks17, *network.blocks8]
    assert [isinstance(block.activation, nn.ReLU) for block in blocks] == [True] * 39 + [False]
    assert [block.scale for block in blocks] == [0.17] * 10 + [0.1] * 20 + [0.2] * 9 + [1.0]


def test_weights_start_gaussian() -> None:
    torch.manual_seed(0)
    block = inception_resnet._block35()
    inception_resnet.gaussian_in(block)
    for layer in block.modules():
        if isinstance(layer, nn.Conv2d):
            std = math.sqrt(2 / layer.weight[0].numel())
            assert layer.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(layer.weight.numel()))
            assert (layer.bias == 0).all()


@pytest.mark.long
def test_trains() -> None:
    """Real values through one block of each kind, and back."""
    torch.manual_seed(0)
    network = nn.Sequential(
        inception_resnet._mixed(),
        inception_resnet._block35(),
        inception_resnet._reduction_a(),
        inception_resnet._block17(),
        inception_resnet._reduction_b(),
        inception_resnet._block8(1.0, last=True),
    )
    y = network(torch.randn(2, 192, 11, 11))
    assert y.shape == (2, 2080, 2, 2)
    y.square().sum().backward()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)
    assert any((y < 0).flatten())
