"""MobileNets, MobileFaceNet and SphereNet: maps, strides and the order of the symbol."""

from __future__ import annotations

import pytest
from arcterm_registry import get
from torch import Tensor, nn

from . import meta


def maps(network: nn.Module, kind: type[nn.Module]) -> list[tuple[int, ...]]:
    """(channels, side) of what every layer of `kind` gives."""
    seen: list[tuple[int, ...]] = []

    def note(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        seen.append(tuple(output.shape[1:3]))

    for layer in network.modules():
        if isinstance(layer, kind):
            layer.register_forward_hook(note)
    meta.forward(network, meta.images(1))
    return seen


def test_m1_is_the_table_of_2018() -> None:
    pairs = [(64, 112), (128, 56), (128, 56), (256, 28), (256, 28), (512, 14)]
    pairs += [(512, 14)] * 5 + [(1024, 7), (1024, 7)]
    wanted, channels = [(32, 112)], 32
    for outputs, side in pairs:
        wanted += [(channels, side), (outputs, side)]
        channels = outputs
    network = meta.build("m1")
    assert maps(network, nn.Conv2d) == wanted
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {m.eps for m in norms[:-1]} == {1e-3}
    assert {m.weight.requires_grad for m in norms[:-1]} == {False}
    assert norms[-1].weight.requires_grad, "the output part's own"


def test_m1_has_a_width() -> None:
    assert maps(meta.build("m1", multiplier=0.5), nn.Conv2d)[-1] == (512, 7)
    assert maps(meta.build("m1", input=0), nn.Conv2d)[-1] == (1024, 4)


def test_m2_is_wider_inside_and_projects_where_the_original_did() -> None:
    network = meta.build("m2")
    insides = [m.body[0].out_channels for m in network if hasattr(m, "project")]
    assert insides == [32, 96, 96, *[144] * 3, *[192] * 4, *[384] * 3, *[576] * 3, 960]
    projects = [
        i for i, m in enumerate(m for m in network if hasattr(m, "project")) if list(m.project.parameters())
    ]
    assert projects == [0, 6, 16]
    assert maps(network, nn.Conv2d)[-1] == (1280, 7)
    used = meta.forward(meta.build("m2"), meta.images(1)).layers
    first = [name for name in used if name.startswith("3.")]
    assert [name.split(".")[1] for name in first] == ["body"] * 6 + ["project"] * 2
    assert not any(isinstance(m, nn.ReLU6) for m in network.modules())


@pytest.mark.parametrize(("name", "convolutions"), [("s20", 20), ("s36", 36), ("s60", 60), ("s64", 64)])
def test_spherenet_has_as_many_layers_as_its_name_says(name: str, convolutions: int) -> None:
    network = meta.build(name)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == convolutions
    assert [m.stride for m in layers if m.bias is not None] == [(2, 2)] * 4
    assert [m.stride for m in layers if m.bias is None] == [(1, 1)] * (convolutions - 4)
    assert [type(m) for m in network][-2:] == [nn.Flatten, nn.Linear]
    assert not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d | nn.Dropout) for m in network.modules())


@pytest.mark.parametrize(
    ("options", "blocks"),
    [({}, [4, 6, 2]), ({"scale": 2}, [4, 6, 2]), ({"scale": 4, "blocks": "2,8,12,4"}, [2, 8, 12, 4])],
)
def test_mobilefacenets(options: dict[str, object], blocks: list[int]) -> None:
    network = meta.build("y1", **options)
    scale = options.get("scale", 1)
    assert isinstance(scale, int)
    residuals = [m.body[0] for m in network if hasattr(m, "body")]
    insides, outsides = [m.out_channels for m in residuals], [m.in_channels for m in residuals]
    *narrow, at_14, at_7 = blocks
    assert outsides == [64 * scale] * sum(narrow) + [128 * scale] * (at_14 + at_7)
    assert insides == [128] * sum(narrow) + [256] * (at_14 + at_7)
    assert maps(network, nn.PReLU)[-1] == (512, 7)


def test_arcface_torch_has_the_same_layers_but_no_bias_in_the_last() -> None:
    """Its get_mbf(): 1 stem and 1 grouped convolution, 15 blocks of 3, the last 1×1 and the 7×7."""
    network = meta.build("y1", scale=2)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 2 + 15 * 3 + 2
    assert all(conv.bias is None for conv in convolutions)
    assert (convolutions[1].in_channels, convolutions[1].groups) == (128, 64)
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert [tuple(m.weight.shape) for m in linear] == [(512, 512)]
    assert meta.count(network) - linear[0].bias.numel() == 2_059_520


@pytest.mark.parametrize("blocks", ["1,4,6", "0,4,6,2", "1,4,6,2,2", "1;4;6;2", "", "1,4,6,100", "a,b,c,d"])
def test_blocks_that_are_no_four_counts_are_refused(blocks: str) -> None:
    declared = get("backbone", "y1")
    with pytest.raises(ValueError, match="write four counts of 1 to 99 such as 1,4,6,2"):
        declared.check_together(declared.settings({"blocks": blocks}))
    with pytest.raises(ValueError, match="write four counts"):
        meta.build("y1", blocks=blocks)
