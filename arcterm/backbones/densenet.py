"""DenseNet-BC: every layer's output is appended to its input; with InsightFace's stem and head."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from arcterm.backbones._heads import OutputLayers
from arcterm.backbones._layers import uniform_in
from arcterm.backbones._stems import Stem

_EPS = 2e-5


class DenseLayer(nn.Module):
    """(N, `inputs`, H, W) → (N, `inputs` + `growth`, H, W): a bottleneck's output, appended."""

    def __init__(self, inputs: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_convolution(inputs, 4 * growth, 1, dropout),
            *_convolution(4 * growth, growth, 3, dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x, self.body(x)), dim=1)


class DenseNet(nn.Module):
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    A transition's width is half of what its stage would give after a stem of `2 * growth` channels, which
    ImageNet's is; the full-size stem gives 64.
    """

    def __init__(
        self,
        layers: tuple[int, int, int, int],
        growth: int,
        *,
        embedding_size: int,
        dropout: float,
        output: str,
        input: int,
        block_dropout: float,
    ) -> None:
        super().__init__()
        self.stem = Stem(2 * growth, input)
        channels, counted = self.stem.outputs, 2 * growth
        stages: list[nn.Module] = []
        for stage, count in enumerate(layers):
            stages += [DenseLayer(channels + i * growth, growth, block_dropout) for i in range(count)]
            channels += count * growth
            if stage < 3:
                counted = (counted + count * growth) // 2
                stages += [*_convolution(channels, counted, 1, block_dropout), nn.AvgPool2d(2)]
                channels = counted
        self.stages = nn.Sequential(*stages)
        self.head = OutputLayers(output, channels, 3 if input == 0 else 7, embedding_size, dropout=dropout)
        uniform_in(self)

    def forward(self, x: Tensor) -> Tensor:
        embeddings: Tensor = self.head(self.stages(self.stem(x)))
        return embeddings


def _convolution(inputs: int, outputs: int, kernel: int, dropout: float) -> list[nn.Module]:
    return [
        nn.BatchNorm2d(inputs, eps=_EPS),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.Dropout(dropout),
    ]


d121 = partial(DenseNet, (6, 12, 24, 16), 32)
d161 = partial(DenseNet, (6, 12, 36, 24), 48)
d169 = partial(DenseNet, (6, 12, 32, 32), 32)
d201 = partial(DenseNet, (6, 12, 48, 32), 32)
