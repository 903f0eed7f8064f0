"""LResNet-E-IR: InsightFace's residual networks of 2018 (by default stem L, unit 3, head E).

Layer names are those of the IResNet that PyTorch ports share, so that their state dicts fit; what IResNet
does not have is named in the same way.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from arcterm.backbones import _heads, _layers

_EPS = 2e-5


@dataclass(frozen=True)
class Style:
    """The parts of units, by InsightFace's version numbers.

    `input` 0 has the stem of ImageNet and `input` 2, with unit 3, bottlenecks in 32 groups.
    """

    unit: int = 3
    input: int = 1
    se: bool = False
    activation: str = "prelu"
    bottleneck: bool = False

    def __post_init__(self) -> None:
        if self.input == 2 and not self.bottleneck:
            raise ValueError("input 2 is for bottlenecks, which networks below 101 layers do not have")

    def convolutions(self, inputs: int, outputs: int, stride: int) -> list[nn.Conv2d]:
        """The two 3×3 of a unit, or the 1×1, 3×3 and 1×1 of a bottleneck; one of them has the stride."""
        grouped = self.input == 2 and self.unit == 3
        width, groups = (outputs // 2, 32) if grouped else (outputs // 4, 1)
        wide, narrow = (outputs, 3, 1), [(width, 1, groups), (width, 3, groups), (outputs, 1, 1)]
        shapes = narrow if self.bottleneck else [wide, wide]
        last = len(shapes) - 1
        first = 0 if self.unit == 1 and self.input == 0 else last
        strided = last - 1 if self.unit == 2 else first
        made = []
        for i, (channels, kernel, parts) in enumerate(shapes):
            step = stride if i == strided else 1
            made.append(nn.Conv2d(inputs, channels, kernel, step, kernel // 2, groups=parts, bias=False))
            inputs = channels
        return made


class SqueezeExcite(nn.Module):
    """Scales each channel by what the means of all say of it: (N, C, H, W) → the same shape."""

    def __init__(self, channels: int, kind: str) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv1 = nn.Conv2d(channels, channels // 16, 1)
        self.prelu = _layers.activation(kind, channels // 16)
        self.conv2 = nn.Conv2d(channels // 16, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """`x` times a factor in 0..1 for each image and channel."""
        factor: Tensor = self.conv2(self.prelu(self.conv1(self.pool(x)))).sigmoid()
        return x * factor


class Unit(nn.Module):
    """Unit 3: BN → 3×3 → BN → PReLU → 3×3/stride → BN, plus the shortcut; no activation after the sum.

    (N, `inputs`, H, W) → (N, `outputs`, H/stride, W/stride). The first unit of a stage projects its shortcut,
    even where the number of channels stays.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, first: bool | None = None, style: Style = Style()
    ) -> None:
        super().__init__()
        self.first = stride > 1 if first is None else first
        body = _named(self.sequence(style, inputs, style.convolutions(inputs, outputs, stride)))
        if style.se:
            body["se"] = SqueezeExcite(outputs, style.activation)
        for name, module in body.items():
            self.add_module(name, module)
        self.body = tuple(body)
        self.downsample = self.shortcut(inputs, outputs, stride)

    def sequence(self, style: Style, inputs: int, convolutions: list[nn.Conv2d]) -> list[nn.Module]:
        return [nn.BatchNorm2d(inputs, eps=_EPS), *_conv_first(style, convolutions)]

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """Make the layers that bring the unit's input to the shape of its output."""
        if not self.first:
            return nn.Identity()
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps=_EPS)
        )

    def run(self, names: tuple[str, ...], x: Tensor) -> Tensor:
        for name in names:
            x = getattr(self, name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.run(self.body, x) + self.downsample(x)
        return total


class ActivatedUnit(Unit):
    """Unit 1, of the first ResNet: 3×3 → BN → PReLU → 3×3 → BN, plus the shortcut, then a PReLU."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, first: bool | None = None, style: Style = Style(unit=1)
    ) -> None:
        super().__init__(inputs, outputs, stride, first, style)
        self.prelu3 = _layers.activation(style.activation, outputs)

    def sequence(self, style: Style, inputs: int, convolutions: list[nn.Conv2d]) -> list[nn.Module]:
        return _conv_first(style, convolutions)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.prelu3(super().forward(x))
        return activated


class PreactivatedUnit(Unit):
    """Unit 2: BN → PReLU → 3×3/stride → BN → PReLU → 3×3; a projection starts from the first PReLU."""

    def sequence(self, style: Style, inputs: int, convolutions: list[nn.Conv2d]) -> list[nn.Module]:
        made: list[nn.Module] = []
        for conv in convolutions:
            made += [
                nn.BatchNorm2d(conv.in_channels, eps=_EPS),
                _layers.activation(style.activation, conv.in_channels),
                conv,
            ]
        return made

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        """A bare convolution in the first unit of a stage."""
        if not self.first:
            return nn.Identity()
        return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        active = self.run(self.body[:2], x)
        total: Tensor = self.run(self.body[2:], active) + self.downsample(active if self.first else x)
        return total


class OpenUnit(Unit):
    """Unit 4: unit 3, but the first of a stage has no shortcut at all."""

    def shortcut(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        return nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.run(self.body, x) if self.first else super().forward(x)


_UNITS = {1: ActivatedUnit, 2: PreactivatedUnit, 3: Unit, 4: OpenUnit}


def _conv_first(style: Style, convolutions: list[nn.Conv2d]) -> list[nn.Module]:
    """Convolution → BN → activation, over and over, without the last activation."""
    made: list[nn.Module] = []
    for conv in convolutions:
        made += [
            conv,
            nn.BatchNorm2d(conv.out_channels, eps=_EPS),
            _layers.activation(style.activation, conv.out_channels),
        ]
    return made[:-1]


def _named(modules: list[nn.Module]) -> dict[str, nn.Module]:
    """bn1, conv1, bn2, prelu, conv2, bn3, prelu2, ...: numbered by kind, but for the first activation."""
    named: dict[str, nn.Module] = {}
    seen = {"bn": 0, "conv": 0, "prelu": 0}
    for module in modules:
        kind = {nn.BatchNorm2d: "bn", nn.Conv2d: "conv"}.get(type(module), "prelu")
        seen[kind] += 1
        named[kind if kind == "prelu" and seen[kind] == 1 else f"{kind}{seen[kind]}"] = module
    return named


class IResNet(nn.Sequential):
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    Raises `ValueError` for options that do not go together.
    """

    def __init__(
        self,
        units: tuple[int, int, int, int],
        *,
        bottleneck: bool = False,
        embedding_size: int,
        dropout: float,
        output: str,
        se: bool,
        input: int,
        unit: int,
        activation: str,
    ) -> None:
        style = Style(unit, input, se, activation, bottleneck)
        channels = (64, 256, 512, 1024, 2048) if bottleneck else (64, 64, 128, 256, 512)
        strides = (1, 2, 2, 2) if input == 0 else (2, 2, 2, 2)
        side = 4 if input == 0 else 7
        stages = {
            f"layer{i}": _stage(*shape, style)
            for i, shape in enumerate(zip(pairwise(channels), units, strides, strict=True), 1)
        }
        head = _heads.layers(output, channels[-1], side, embedding_size, dropout=dropout, eps=_EPS)
        super().__init__(OrderedDict(_stem(style) | stages | head))
        _layers.xavier_out(self)


def _stem(style: Style) -> dict[str, nn.Module]:
    small = style.input == 0
    stem = {
        "conv1": nn.Conv2d(3, 64, 7, 2, 3, bias=False) if small else nn.Conv2d(3, 64, 3, 1, 1, bias=False),
        "bn1": nn.BatchNorm2d(64, eps=_EPS),
        "prelu": _layers.activation(style.activation, 64),
    }
    return stem | {"maxpool": nn.MaxPool2d(3, 2, 1)} if small else stem


def _stage(channels: tuple[int, int], count: int, stride: int, style: Style) -> nn.Sequential:
    inputs, outputs = channels
    unit = _UNITS[style.unit]
    first = unit(inputs, outputs, stride, True, style)
    return nn.Sequential(first, *(unit(outputs, outputs, 1, False, style) for _ in range(count - 1)))


r18 = partial(IResNet, (2, 2, 2, 2))
r34 = partial(IResNet, (3, 4, 6, 3))
r50 = partial(IResNet, (3, 4, 14, 3))  # its units are those of r34, not bottlenecks
r74 = partial(IResNet, (3, 6, 24, 3))
r90 = partial(IResNet, (3, 8, 30, 3))
r100 = partial(IResNet, (3, 13, 30, 3))
r101 = partial(IResNet, (3, 4, 23, 3), bottleneck=True)
r152 = partial(IResNet, (3, 8, 36, 3), bottleneck=True)
r200 = partial(IResNet, (3, 24, 36, 3), bottleneck=True)
r269 = partial(IResNet, (3, 30, 48, 8), bottleneck=True)
