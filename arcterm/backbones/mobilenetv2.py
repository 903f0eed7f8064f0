"""MobileNetV2 as InsightFace built it (network ``m2``): a full-size stem, ReLU and widths of its own."""

from __future__ import annotations

from torch import Tensor, nn

from arcterm.backbones._heads import OutputLayers
from arcterm.backbones._layers import uniform_in

_EPS = 1e-5
# expansion, channels, blocks and stride of each stage
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 1),
    (6, 96, 3, 2),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def _linear(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=_EPS),
    ]


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [*_linear(inputs, outputs, kernel, stride, groups), nn.ReLU()]


class InvertedResidual(nn.Module):
    """1×1 to `width`, depthwise 3×3/stride, linear 1×1; at stride 1 plus its input, projected to fit.

    (N, `inputs`, H, W) → (N, `outputs`, H/stride, W/stride).
    """

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_conv(inputs, width),
            *_conv(width, width, 3, stride, groups=width),
            *_linear(width, outputs),
        )
        self.added = stride == 1
        self.project = (
            nn.Sequential(*_conv(inputs, outputs)) if self.added and inputs != outputs else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        return y + self.project(x) if self.added else y


def m2(embedding_size: int, dropout: float, output: str) -> nn.Sequential:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`)."""
    blocks: list[nn.Module] = []
    before = 32
    for expansion, channels, count, stride in _STAGES:
        # all blocks of a stage are as wide inside as the first, which the channels of the stage before decide
        blocks.append(InvertedResidual(before, expansion * before, channels, stride))
        blocks += [InvertedResidual(channels, expansion * before, channels, 1) for _ in range(count - 1)]
        before = channels
    network = nn.Sequential(
        *_conv(3, 32, 3),
        *blocks,
        *_conv(before, 1280),
        OutputLayers(output, 1280, 7, embedding_size, dropout=dropout),
    )
    uniform_in(network)
    return network
