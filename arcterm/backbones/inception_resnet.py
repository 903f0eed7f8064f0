"""Inception-ResNet-v2 as InsightFace built it: no first poolings, biased convolutions, gains that stay 1."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from arcterm.backbones._heads import OutputLayers
from arcterm.backbones._layers import fixed_norm, gaussian_in

_EPS = 1e-3


class To(NamedTuple):
    """A convolution to `outputs` channels; numbers are for both height and width, pairs for each."""

    outputs: int
    kernel: int | tuple[int, int]
    padding: int | tuple[int, int] = 0
    stride: int = 1


class Branches(nn.ModuleList):
    """Networks side by side, from one map to their outputs, concatenated."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self], dim=1)


class InceptionBlock(nn.Module):
    """x + `scale` · 1×1(branches(x)), then a ReLU unless `last`; (N, `channels`, H, W) → the same."""

    def __init__(
        self, branches: Branches, mixed: int, channels: int, scale: float, last: bool = False
    ) -> None:
        super().__init__()
        self.branches = branches
        self.project = _projection(mixed, channels)
        self.scale = scale
        self.activation = nn.Identity() if last else nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(x + self.scale * self.project(self.branches(x)))
        return y


class InceptionResNet(nn.Module):
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    The first convolution has stride 1, or 2 with `input` 0; the last map is 12×12, or 5×5.
    """

    def __init__(self, *, embedding_size: int, dropout: float, output: str, input: int) -> None:
        super().__init__()
        first = To(32, 3, stride=2 if input == 0 else 1)
        self.stem = nn.Sequential(
            _chain(3, first, To(32, 3), To(64, 3, 1), To(80, 1), To(192, 3)),
            nn.MaxPool2d(3, 2),
            _mixed(),
        )
        self.blocks35 = nn.Sequential(*(_block35() for _ in range(10)))
        self.reduction_a = _reduction_a()
        self.blocks17 = nn.Sequential(*(_block17() for _ in range(20)))
        self.reduction_b = _reduction_b()
        self.blocks8 = nn.Sequential(*(_block8(0.2) for _ in range(9)), _block8(1.0, last=True))
        self.last = _chain(2080, To(1536, 1))
        self.head = OutputLayers(output, 1536, 5 if input == 0 else 12, embedding_size, dropout=dropout)
        gaussian_in(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduction_a(self.blocks35(self.stem(x)))
        x = self.reduction_b(self.blocks17(x))
        embeddings: Tensor = self.head(self.last(self.blocks8(x)))
        return embeddings


def _projection(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), fixed_norm(outputs, _EPS))


def _chain(inputs: int, *convolutions: To) -> nn.Sequential:
    layers: list[nn.Module] = []
    for to in convolutions:
        layers.append(nn.Conv2d(inputs, to.outputs, to.kernel, to.stride, to.padding))
        layers += [fixed_norm(to.outputs, _EPS), nn.ReLU(inplace=True)]
        inputs = to.outputs
    return nn.Sequential(*layers)


def _mixed() -> Branches:
    return Branches(
        [
            _chain(192, To(96, 1)),
            _chain(192, To(48, 1), To(64, 5, 2)),
            _chain(192, To(64, 1), To(96, 3, 1), To(96, 3, 1)),
            nn.Sequential(nn.AvgPool2d(3, 1, padding=1), _chain(192, To(64, 1))),
        ]
    )


def _reduction_a() -> Branches:
    return Branches(
        [
            _chain(320, To(384, 3, stride=2)),
            _chain(320, To(256, 1), To(256, 3, 1), To(384, 3, stride=2)),
            nn.MaxPool2d(3, 2),
        ]
    )


def _reduction_b() -> Branches:
    return Branches(
        [
            _chain(1088, To(256, 1), To(384, 3, stride=2)),
            _chain(1088, To(256, 1), To(288, 3, stride=2)),
            _chain(1088, To(256, 1), To(288, 3, 1), To(320, 3, stride=2)),
            nn.MaxPool2d(3, 2),
        ]
    )


def _block35() -> InceptionBlock:
    branches = Branches(
        [
            _chain(320, To(32, 1)),
            _chain(320, To(32, 1), To(32, 3, 1)),
            _chain(320, To(32, 1), To(48, 3, 1), To(64, 3, 1)),
        ]
    )
    return InceptionBlock(branches, 128, 320, 0.17)


def _block17() -> InceptionBlock:
    """129 channels, and paddings that lend the height two rows of the width: trained models have them."""
    branches = Branches(
        [
            _chain(1088, To(192, 1)),
            _chain(1088, To(129, 1), To(160, (1, 7), (1, 2)), To(192, (7, 1), (2, 1))),
        ]
    )
    return InceptionBlock(branches, 384, 1088, 0.1)


def _block8(scale: float, *, last: bool = False) -> InceptionBlock:
    branches = Branches(
        [
            _chain(2080, To(192, 1)),
            _chain(2080, To(192, 1), To(224, (1, 3), (0, 1)), To(256, (3, 1), (1, 0))),
        ]
    )
    return InceptionBlock(branches, 448, 2080, scale, last=last)


i2 = InceptionResNet
