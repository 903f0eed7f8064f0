"""MobileFaceNet as InsightFace trains it (network ``y1``, head GDC)."""

from __future__ import annotations

from torch import Tensor, nn

from arcterm.backbones.layers import embedding_norm, xavier_out

_EPS = 1e-3


def _linear(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    padding = 1 if kernel == 3 else 0
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=_EPS),
    ]


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [*_linear(inputs, outputs, kernel, stride, groups), nn.PReLU(outputs)]


class Bottleneck(nn.Sequential):
    """1×1 to `width`, depthwise 3×3/stride, linear 1×1: (N, C, H, W) → (N, `outputs`, H/stride, W/stride)."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int) -> None:
        super().__init__(
            *_conv(inputs, width),
            *_conv(width, width, kernel=3, stride=stride, groups=width),
            *_linear(width, outputs),
        )


class Residual(nn.Module):
    """A bottleneck of stride 1 plus its input."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.body = Bottleneck(channels, width, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same shape."""
        total: Tensor = x + self.body(x)
        return total


def y1(embedding_size: int = 512) -> nn.Module:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`)."""
    network = nn.Sequential(
        *_conv(3, 64, kernel=3, stride=2),
        *_conv(64, 64, kernel=3, groups=64),
        Bottleneck(64, 128, 64, 2),
        *(Residual(64, 128) for _ in range(4)),
        Bottleneck(64, 256, 128, 2),
        *(Residual(128, 256) for _ in range(6)),
        Bottleneck(128, 512, 128, 2),
        *(Residual(128, 256) for _ in range(2)),
        *_conv(128, 512),
        *_linear(512, 512, kernel=7, groups=512),
        nn.Flatten(),
        nn.Linear(512, embedding_size),
        embedding_norm(embedding_size, _EPS),
    )
    xavier_out(network)
    return network
