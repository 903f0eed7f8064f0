"""LResNet-E-IR: names that other programs know, and the units of 2018 written out."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from arcterm.backbones.resnet import _UNITS, IResNet, Style, Unit

from . import meta

pytestmark = pytest.mark.long

# of arcface_torch's iresnet18, without the counters of its batch norms
NORM = ("weight", "bias", "running_mean", "running_var")
UNIT = {
    "bn1": NORM,
    "conv1": ("weight",),
    "bn2": NORM,
    "prelu": ("weight",),
    "conv2": ("weight",),
    "bn3": NORM,
}
PROJECTION = {"downsample.0": ("weight",), "downsample.1": NORM}


def published_names() -> set[str]:
    layers: dict[str, tuple[str, ...]] = {"conv1": ("weight",), "bn1": NORM, "prelu": ("weight",)}
    for stage in (1, 2, 3, 4):
        layers |= {f"layer{stage}.0.{name}": arrays for name, arrays in (UNIT | PROJECTION).items()}
        layers |= {f"layer{stage}.1.{name}": arrays for name, arrays in UNIT.items()}
    layers |= {"bn2": NORM, "fc": ("weight", "bias"), "features": NORM}
    return {f"{layer}.{array}" for layer, arrays in layers.items() for array in arrays}


def test_names_are_those_of_arcface_torch() -> None:
    names = {name for name in meta.build("r18").state_dict() if not name.endswith("num_batches_tracked")}
    assert names == published_names()
    assert {name for name in meta.build("r18", se=True).state_dict() if ".se." in name} == {
        f"layer{stage}.{unit}.se.{name}"
        for stage in (1, 2, 3, 4)
        for unit in (0, 1)
        for name in ("conv1.weight", "conv1.bias", "prelu.weight", "conv2.weight", "conv2.bias")
    }


def test_layers_run_in_the_order_of_the_symbol() -> None:
    unit = ["bn1", "conv1", "bn2", "prelu", "conv2", "bn3"]
    squeeze, projection = ["se.conv1", "se.prelu", "se.conv2"], ["downsample.0", "downsample.1"]
    wanted = ["conv1", "bn1", "prelu"]
    for stage in (1, 2, 3, 4):
        wanted += [f"layer{stage}.0.{name}" for name in (*unit, *squeeze, *projection)]
        wanted += [f"layer{stage}.1.{name}" for name in (*unit, *squeeze)]
    wanted += ["bn2", "fc", "features"]
    assert meta.forward(meta.build("r18", se=True), meta.images(1)).layers == wanted


def norm(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    mean, variance = (layer.running_mean, layer.running_var)
    assert mean is not None
    assert variance is not None
    shaped = [v.view(1, -1, 1, 1) for v in (mean, variance, layer.weight, layer.bias)]
    return (x - shaped[0]) / (shaped[1] + 2e-5).sqrt() * shaped[2] + shaped[3]


def slope(x: Tensor, layer: nn.PReLU) -> Tensor:
    return torch.where(x > 0, x, x * layer.weight.view(1, -1, 1, 1))


def squeezed(x: Tensor, u: nn.Module) -> Tensor:
    means = x.mean((2, 3))
    hidden = means @ u.se.conv1.weight[:, :, 0, 0].T + u.se.conv1.bias
    hidden = torch.where(hidden > 0, hidden, hidden * u.se.prelu.weight)
    factor = 1 / (1 + torch.exp(-(hidden @ u.se.conv2.weight[:, :, 0, 0].T + u.se.conv2.bias)))
    return x * factor[:, :, None, None]


def projected(x: Tensor, u: nn.Module) -> Tensor:
    return norm(F.conv2d(x, u.downsample[0].weight, stride=2), u.downsample[1])


def unit1(x: Tensor, u: nn.Module) -> Tensor:
    y = slope(norm(F.conv2d(x, u.conv1.weight, padding=1), u.bn1), u.prelu)
    y = squeezed(norm(F.conv2d(y, u.conv2.weight, stride=2, padding=1), u.bn2), u)
    return slope(y + projected(x, u), u.prelu3)


def unit2(x: Tensor, u: nn.Module) -> Tensor:
    active = slope(norm(x, u.bn1), u.prelu)
    y = slope(norm(F.conv2d(active, u.conv1.weight, stride=2, padding=1), u.bn2), u.prelu2)
    y = squeezed(F.conv2d(y, u.conv2.weight, padding=1), u)
    return y + F.conv2d(active, u.downsample[0].weight, stride=2)


def unit3(x: Tensor, u: nn.Module) -> Tensor:
    return unit4(x, u) + projected(x, u)


def unit4(x: Tensor, u: nn.Module) -> Tensor:
    y = slope(norm(F.conv2d(norm(x, u.bn1), u.conv1.weight, padding=1), u.bn2), u.prelu)
    return squeezed(norm(F.conv2d(y, u.conv2.weight, stride=2, padding=1), u.bn3), u)


WRITTEN_OUT: dict[int, Callable[[Tensor, nn.Module], Tensor]] = {1: unit1, 2: unit2, 3: unit3, 4: unit4}


def random_unit(style: Style, inputs: int, outputs: int, stride: int) -> Unit:
    """In float64 and inference, with norms and slopes that are all different."""
    torch.manual_seed(0)
    made = _UNITS[style.unit](inputs, outputs, stride, None, style).double().eval()
    for layer in made.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                assert values is not None
                nn.init.uniform_(values, 0.5, 1.5)
        elif isinstance(layer, nn.PReLU):
            nn.init.uniform_(layer.weight, 0.1, 0.9)
    return made


@pytest.mark.parametrize("version", WRITTEN_OUT)
def test_units_written_out(version: int) -> None:
    made = random_unit(Style(unit=version, se=True), 16, 32, 2)
    x = torch.randn(2, 16, 6, 6).double()
    with torch.no_grad():
        got, wanted = made(x), WRITTEN_OUT[version](x, made)
        assert torch.allclose(got, wanted, atol=1e-10)
        without_slope = random_unit(Style(unit=version, se=True, activation="relu"), 16, 32, 2)
        without_slope.load_state_dict(made.state_dict(), strict=False)
        assert not torch.allclose(without_slope(x), wanted, atol=1e-2)


@pytest.mark.parametrize("version", WRITTEN_OUT)
@pytest.mark.parametrize("bottleneck", [False, True])
def test_later_units_of_a_stage_add_their_input(version: int, bottleneck: bool) -> None:
    made = random_unit(Style(unit=version, bottleneck=bottleneck), 32, 32, 1)
    x = torch.randn(2, 32, 5, 5).double()
    with torch.no_grad():
        total = made.run(made.body, x) + x
        assert torch.equal(made(x), slope(total, made.prelu3) if version == 1 else total)


@pytest.mark.parametrize(
    ("style", "strides"),
    [
        (Style(bottleneck=True), [1, 1, 2]),
        (Style(unit=4, bottleneck=True), [1, 1, 2]),
        (Style(unit=2, bottleneck=True), [1, 2, 1]),
        (Style(unit=1, bottleneck=True), [1, 1, 2]),
        (Style(unit=1, input=0, bottleneck=True), [2, 1, 1]),
        (Style(), [1, 2]),
        (Style(unit=2), [2, 1]),
        (Style(unit=1), [1, 2]),
        (Style(unit=1, input=0), [2, 1]),
    ],
)
def test_where_the_stride_is(style: Style, strides: list[int]) -> None:
    made = style.convolutions(16, 32, 2)
    assert [conv.stride[0] for conv in made] == strides
    assert [conv.kernel_size[0] for conv in made] == ([1, 3, 1] if style.bottleneck else [3, 3])


def test_input_2_has_bottlenecks_in_groups() -> None:
    made = Style(input=2, bottleneck=True).convolutions(256, 512, 2)
    assert [(conv.out_channels, conv.groups) for conv in made] == [(256, 32), (256, 32), (512, 1)]
    plain = Style(input=2, unit=1, bottleneck=True).convolutions(256, 512, 2)
    assert [(conv.out_channels, conv.groups) for conv in plain] == [(128, 1), (128, 1), (512, 1)]
    with pytest.raises(ValueError, match="networks below 101 layers do not have"):
        meta.build("r18", input=2)


def test_activations_are_replaced_but_for_the_output_part() -> None:
    network = meta.build("r18", activation="tanh", se=True, output="C")
    assert [n for n, m in network.named_modules() if isinstance(m, nn.PReLU)] == ["prelu2"]
    assert sum(isinstance(m, nn.Tanh) for m in network.modules()) == 1 + 8 * 2
    with pytest.raises(ValueError, match="'swish' is unknown; it is one of prelu, relu"):
        meta.build("r18", activation="swish")


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("options", [{"unit": u} for u in (1, 2, 3, 4)] + [{"input": 0}, {"se": True}])
def test_trains(options: dict[str, int], bottleneck: bool) -> None:
    torch.manual_seed(0)
    network = IResNet(
        (1, 1, 1, 1), bottleneck=bottleneck, **meta.settings("r18", embedding_size=32, output="C", **options)
    )
    x = torch.randn(2, 3, 48, 48)
    network(x).square().sum().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


def test_exports_with_any_number_of_images() -> None:
    network = IResNet(
        (1, 1, 1, 1), **meta.settings("r18", embedding_size=32, output="GNAP", unit=2, se=True)
    ).eval()
    x = torch.randn(3, 3, 48, 48)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (x[:2],), dynamic_shapes=({0: batch},)).module()
    with torch.no_grad():
        assert torch.allclose(program(x), network(x), atol=1e-4)
