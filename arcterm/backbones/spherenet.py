"""SphereNet: plain residual pairs with PReLU and no batch norm at all (networks ``s20`` to ``s104``)."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

from torch import Tensor, nn

from arcterm.backbones._layers import uniform_in

_CHANNELS = (3, 64, 128, 256, 512)


class ResidualUnit(nn.Module):
    """3×3 → PReLU → 3×3 → PReLU, plus the input: (N, `channels`, H, W) → the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.PReLU(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = x + self.body(x)
        return total


def _spherenet(pairs: tuple[int, int, int, int], embedding_size: int) -> nn.Sequential:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`)."""
    layers: list[nn.Module] = []
    for (inputs, outputs), count in zip(pairwise(_CHANNELS), pairs, strict=True):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.PReLU(outputs)]
        layers += [ResidualUnit(outputs) for _ in range(count)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Linear(512 * 7 * 7, embedding_size))
    uniform_in(network)
    return network


s20 = partial(_spherenet, (1, 2, 4, 1))
s36 = partial(_spherenet, (2, 4, 8, 2))
s60 = partial(_spherenet, (3, 8, 14, 3))
s64 = partial(_spherenet, (3, 8, 16, 3))
s104 = partial(_spherenet, (3, 8, 36, 3))
