"""LMobileNetE as InsightFace trains it (network ``m1``): MobileNet with a full-size stem and PReLU."""

from __future__ import annotations

from torch import nn

from arcterm.backbones._heads import OutputLayers
from arcterm.backbones._layers import fixed_norm, uniform_in

_EPS = 1e-3
_BASE = 32
# outputs of each pair, in units of the stem's channels, and the stride of its depthwise convolution
_PAIRS = (
    (2, 1),
    (4, 2),
    (4, 1),
    (8, 2),
    (8, 1),
    (16, 2),
    *[(16, 1)] * 5,
    (32, 2),
    (32, 1),
)


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        fixed_norm(outputs, _EPS),
        nn.PReLU(outputs),
    ]


def m1(embedding_size: int, dropout: float, output: str, input: int, multiplier: float) -> nn.Sequential:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`).

    `multiplier` scales all channels; `input` 0 halves the image in the first convolution. The gains of all
    batch norms stay 1.
    """
    base = channels = int(_BASE * multiplier)
    pairs = []
    for factor, stride in _PAIRS:
        depthwise = _conv(channels, channels, 3, stride, groups=channels)
        pairs.append(nn.Sequential(*depthwise, *_conv(channels, factor * base, 1)))
        channels = factor * base
    network = nn.Sequential(
        *_conv(3, base, 3, stride=2 if input == 0 else 1),
        *pairs,
        OutputLayers(output, channels, 4 if input == 0 else 7, embedding_size, dropout=dropout),
    )
    uniform_in(network)
    return network
