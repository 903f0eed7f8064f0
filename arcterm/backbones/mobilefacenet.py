"""MobileFaceNet as InsightFace trains it (network ``y1``), and arcface_torch's wider ones."""

from __future__ import annotations

from torch import Tensor, nn

from arcterm.backbones import _heads
from arcterm.backbones._layers import xavier_out
from arcterm.backbones.sizes import four_counts

_EPS = 1e-3


def _linear(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    padding = 1 if kernel == 3 else 0
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=_EPS),
    ]


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, style: str = "insightface"
) -> list[nn.Module]:
    activation = nn.ReLU6() if style == "foamliu" else nn.PReLU(outputs)
    return [*_linear(inputs, outputs, kernel, stride, groups), activation]


def _separable(channels: int) -> list[nn.Module]:
    """A depthwise 3×3 and a 1×1 convolution, each with norm and ReLU: foamliu's second layer."""
    depthwise = _linear(channels, channels, 3, groups=channels)
    return [*depthwise, nn.ReLU(), *_linear(channels, channels), nn.ReLU()]


class Bottleneck(nn.Sequential):
    """1×1 to `width`, depthwise 3×3/stride, linear 1×1: (N, C, H, W) → (N, `outputs`, H/stride, W/stride)."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, style: str) -> None:
        super().__init__(
            *_conv(inputs, width, style=style),
            *_conv(width, width, kernel=3, stride=stride, groups=width, style=style),
            *_linear(width, outputs),
        )


class Residual(nn.Module):
    """A bottleneck of stride 1 plus its input."""

    def __init__(self, channels: int, width: int, style: str) -> None:
        super().__init__()
        self.body = Bottleneck(channels, width, channels, 1, style)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.body(x) + x
        return total


def y1(embedding_size: int, output: str, scale: int, blocks: str, style: str) -> nn.Sequential:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    `scale` multiplies the channels between blocks and leaves those inside them. `blocks` are the residual
    blocks at 56, 28, 14 and 7 pixels; a single one at 56 is a 3×3 convolution in 64 groups instead. With
    `scale` 2 it is arcface_torch's mbf, with 4 and ``2,8,12,4`` its mbf_large. With `style` foamliu, ReLU6
    stands for PReLU, and the convolution in groups is separable. Raises `ValueError` for `blocks` that are
    not four counts.
    """
    first, *counts = four_counts(blocks)
    narrow, wide = 64 * scale, 128 * scale
    second = _separable(narrow) if style == "foamliu" else _conv(narrow, narrow, kernel=3, groups=64)
    network = nn.Sequential(
        *_conv(3, narrow, kernel=3, stride=2, style=style),
        *(second if first == 1 else _residuals(narrow, 128, first, style)),
        Bottleneck(narrow, 128, narrow, 2, style),
        *_residuals(narrow, 128, counts[0], style),
        Bottleneck(narrow, 256, wide, 2, style),
        *_residuals(wide, 256, counts[1], style),
        Bottleneck(wide, 512, wide, 2, style),
        *_residuals(wide, 256, counts[2], style),
        *_conv(wide, 512, style=style),
        *_heads.layers(output, 512, 7, embedding_size, dropout=0.4, eps=_EPS).values(),
    )
    xavier_out(network)
    return network


def _residuals(channels: int, width: int, count: int, style: str) -> list[nn.Module]:
    return [Residual(channels, width, style) for _ in range(count)]
