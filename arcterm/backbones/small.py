"""A small convolutional network for the demo and for tests: hundreds of images a second on two CPU cores."""

from __future__ import annotations

from torch import nn

from arcterm.backbones.layers import embedding_norm, xavier_out

_EPS = 1e-5


def tiny(embedding_size: int = 128, dropout: float = 0.4) -> nn.Module:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    Half resolution, three strided convolutions, then MobileFaceNet's global depthwise convolution, which
    weighs the 7×7 places of each channel.
    """
    network = nn.Sequential(
        nn.AvgPool2d(2),
        *_conv(3, 32),
        *_conv(32, 64),
        *_conv(64, 128),
        nn.Conv2d(128, 128, 7, groups=128, bias=False),
        nn.BatchNorm2d(128, eps=_EPS),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(128, embedding_size),
        embedding_norm(embedding_size, _EPS),
    )
    xavier_out(network)
    return network


def _conv(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs, eps=_EPS),
        nn.ReLU(),
    ]
