"""DPN against the 2018 table, published ImageNet counts, and a block with its two paths kept apart."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcterm.backbones import dpn

from . import meta

# inputs of the embedding layer, channels of the 7×7 map, groups, blocks per stage
TABLE = {
    "p68": (116_032, 2368, 32, (3, 4, 12, 3)),
    "p92": (131_712, 2688, 32, (3, 4, 20, 3)),
    "p107": (131_712, 2688, 50, (4, 8, 20, 3)),
    "p131": (131_712, 2688, 40, (4, 8, 28, 3)),
}
# timm's ImageNet networks: the same body behind a 7×7/2 stem of 128 channels, a closing BN, 1000 classes
IMAGENET = {"p107": 86_917_800, "p131": 79_254_504}


@pytest.mark.parametrize("name", TABLE)
def test_the_table(name: str) -> None:
    flat, channels, groups, blocks = TABLE[name]
    network = meta.build(name)
    assert network.head.fc.in_features == flat == channels * 7 * 7
    assert {layer.groups for layer in network.modules() if isinstance(layer, nn.Conv2d)} == {1, groups}
    assert tuple(len(stage) for stage in network.stages) == blocks


@pytest.mark.parametrize("name", IMAGENET)
def test_published_imagenet_counts(name: str) -> None:
    network = meta.build(name, input=0)
    closing_and_classes = 2 * 2688 + 2688 * 1000 + 1000
    body = meta.count(network.stem) + meta.count(network.stages)
    assert body - meta.count(network.stem.relu0) + closing_and_classes == IMAGENET[name]


def test_norms() -> None:
    network = meta.build("p68")
    assert {m.eps for m in network.stages.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
    assert {m.eps for m in network.stem.modules() if isinstance(m, nn.BatchNorm2d)} == {2e-5}
    frozen = [name for name, p in network.named_parameters() if not p.requires_grad]
    assert frozen == ["head.features.weight"]


@pytest.mark.long
def test_layers_run_in_the_order_of_the_symbol() -> None:
    """The projection before the bottleneck, block by block: outputs of p68's convolutions."""
    expected = [64, 64, 64, 64]
    for stage, (blocks, growth) in enumerate(zip((3, 4, 12, 3), (16, 32, 32, 64), strict=True)):
        residual, width = 256 * 2**stage, 128 * 2**stage
        for block in range(blocks):
            expected += [residual + 2 * growth] if block == 0 else []
            expected += [width, width, residual + growth]
    network = meta.build("p68")
    ran = [network.get_submodule(name) for name in meta.forward(network, meta.images(1)).layers]
    assert [layer.out_channels for layer in ran if isinstance(layer, nn.Conv2d)] == expected


@pytest.mark.long
@pytest.mark.parametrize(("input", "side"), [(1, 56), (0, 28)])
def test_maps(input: int, side: int) -> None:
    network = meta.build("p68", input=input)
    first = meta.forward(network.stem, meta.images(1)).shape
    assert first == (1, 128 if input == 0 else 64, side, side)
    last = (side + 7) // 8
    assert meta.forward(network.stages, torch.empty(first, device="meta")).shape == (1, 2368, last, last)


def convolve(layer: nn.Sequential, x: Tensor) -> Tensor:
    """BN, ReLU, convolution, written out."""
    norm, _, conv = layer
    shape = (1, -1, 1, 1)
    x = (x - norm.running_mean.view(shape)) / (norm.running_var.view(shape) + 1e-3).sqrt()
    x = (x * norm.weight.view(shape) + norm.bias.view(shape)).clamp_min(0)
    return F.conv2d(x, conv.weight, stride=conv.stride, padding=conv.padding, groups=conv.groups)


def apart(
    block: dpn.DualPathBlock, residual: Tensor, dense: Tensor, *, projects: bool
) -> tuple[Tensor, Tensor]:
    """The block as the paper has it: two maps in, two maps out."""
    x = torch.cat((residual, dense), 1)
    if projects:
        projected = convolve(block.project, x)
        residual, dense = projected[:, : block.residual], projected[:, block.residual :]
    y = convolve(block.c, convolve(block.b, convolve(block.a, x)))
    return residual + y[:, : block.residual], torch.cat((dense, y[:, block.residual :]), 1)


@pytest.mark.parametrize("projects", [True, False])
def test_a_block_is_two_paths(projects: bool) -> None:
    torch.manual_seed(0)
    block = dpn.DualPathBlock(14, 8, 3, 6, 2, projects=projects, stride=2 if projects else 1).double().eval()
    for tensor in (*block.parameters(), *block.buffers()):
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5)
    residual, dense = torch.randn(2, 8, 6, 6).double(), torch.randn(2, 6, 6, 6).double()
    with torch.no_grad():
        ours = block(torch.cat((residual, dense), 1))
        added, appended = apart(block, residual, dense, projects=projects)
    assert torch.allclose(ours, torch.cat((added, appended), 1), rtol=1e-12, atol=1e-12)
    assert ours.shape[1] == block.outputs == (8 + 3 * 3 if projects else 14 + 3)
    assert not torch.allclose(ours, torch.cat((appended, added), 1))


def test_trains() -> None:
    torch.manual_seed(0)
    network = dpn.DPN(
        dpn._Shape(16, 8, (1, 1, 1, 1), (4, 4, 4, 4)), **meta.settings("p68", embedding_size=32, input=0)
    )
    loss = network(torch.randn(2, 3, 112, 112)).square().sum()
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)
