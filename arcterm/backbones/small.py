"""A small convolutional network for the demo and for tests: hundreds of images a second on two CPU cores."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from arcterm.backbones._layers import xavier_out

_EPS = 1e-5
_GRID = 4  # each of 4×4 parts of the picture is averaged on its own


class Tiny(nn.Module):
    """Half resolution and three strided convolutions; what all three see of each part makes the embedding.

    Averages of early stages carry over to people who were never trained on better than the last stage alone.
    """

    def __init__(self, channels: tuple[int, int, int], embedding_size: int, dropout: float) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs, eps=_EPS),
                nn.ReLU(),
            )
            for inputs, outputs in zip((3, *channels), channels, strict=False)
        )
        seen = sum(channels) * _GRID**2
        self.norm = nn.BatchNorm1d(seen, eps=_EPS)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(seen, embedding_size)
        # no offset: with one, a margin is paid soonest by moving all embeddings away from all classes
        self.features = nn.BatchNorm1d(embedding_size, eps=_EPS, affine=False)
        xavier_out(self)

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool2d(x, 2)
        seen = []
        for stage in self.stages:
            x = stage(x)
            seen.append(F.adaptive_avg_pool2d(x, _GRID).flatten(1))
        embeddings: Tensor = self.features(self.fc(self.dropout(self.norm(torch.cat(seen, dim=1)))))
        return embeddings


def tiny(embedding_size: int, dropout: float) -> Tiny:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`)."""
    return Tiny((32, 64, 128), embedding_size, dropout)
