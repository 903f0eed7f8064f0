"""DPN: networks with a residual and a dense path, side by side in one map; InsightFace's stem and head."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from arcterm.backbones._heads import OutputLayers
from arcterm.backbones._layers import uniform_in
from arcterm.backbones._stems import Stem

_EPS = 1e-3


@dataclass(frozen=True)
class _Shape:
    """`width` of the first bottleneck, its `groups`, and per stage the blocks and what each adds."""

    width: int
    groups: int
    blocks: tuple[int, int, int, int]
    growth: tuple[int, int, int, int]


class DualPathBlock(nn.Module):
    """BN-ReLU-conv three times; `residual` channels are added to the input's first, `growth` are appended.

    (N, `inputs`, H, W) → (N, `outputs`, H/stride, W/stride). A block that `projects`, the first of a stage,
    makes both paths anew from all of its input, the dense one `2 * growth` wide.
    """

    def __init__(
        self,
        inputs: int,
        residual: int,
        growth: int,
        width: int,
        groups: int,
        *,
        projects: bool = False,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.residual = residual
        carried = residual + 2 * growth if projects else inputs
        self.outputs = carried + growth
        self.project = _layer(inputs, carried, 1, stride) if projects else nn.Identity()
        self.a = _layer(inputs, width, 1)
        self.b = _layer(width, width, 3, stride, groups)
        self.c = _layer(width, residual + growth, 1)

    def forward(self, x: Tensor) -> Tensor:
        added, dense = self.project(x).tensor_split((self.residual,), dim=1)
        y, appended = self.c(self.b(self.a(x))).tensor_split((self.residual,), dim=1)
        return torch.cat((added + y, dense, appended), dim=1)


class DPN(nn.Module):
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    Nothing stands between the last block and the head: no closing BN and ReLU.
    """

    def __init__(
        self, shape: _Shape, *, embedding_size: int, dropout: float, output: str, input: int
    ) -> None:
        super().__init__()
        self.stem = Stem(128, input)
        channels = self.stem.outputs
        stages = []
        for stage, (blocks, growth) in enumerate(zip(shape.blocks, shape.growth, strict=True)):
            residual, width = 256 << stage, shape.width << stage
            layers = []
            for index in range(blocks):
                first = index == 0
                stride = 2 if first and stage else 1
                block = DualPathBlock(
                    channels, residual, growth, width, shape.groups, projects=first, stride=stride
                )
                layers.append(block)
                channels = block.outputs
            stages.append(nn.Sequential(*layers))
        self.stages = nn.Sequential(*stages)
        self.head = OutputLayers(output, channels, 4 if input == 0 else 7, embedding_size, dropout=dropout)
        uniform_in(self)

    def forward(self, x: Tensor) -> Tensor:
        embeddings: Tensor = self.head(self.stages(self.stem(x)))
        return embeddings


def _layer(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(inputs, eps=_EPS),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
    )


# wider than the ImageNet network of that name
p68 = partial(DPN, _Shape(128, 32, (3, 4, 12, 3), (16, 32, 32, 64)))
p92 = partial(DPN, _Shape(96, 32, (3, 4, 20, 3), (16, 32, 24, 128)))
p107 = partial(DPN, _Shape(200, 50, (4, 8, 20, 3), (20, 64, 64, 128)))
p131 = partial(DPN, _Shape(160, 40, (4, 8, 28, 3), (16, 32, 32, 128)))
