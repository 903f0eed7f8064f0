"""A backbone for arcterm: a declaration, which loads nothing heavy, and the factory behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arcterm_registry import Backbone, Option

if TYPE_CHECKING:
    from torch import nn

plain = Backbone(
    summary="Three convolutions without batch statistics",
    factory="arcterm_plain:build",
    parameters=425_120,
    gmacs=0.00255,
    embedding_size=128,
    options=(
        Option(
            name="embedding_size", type=int, default=128, help="length of the embedding", low=32, high=4096
        ),
    ),
)


def build(embedding_size: int) -> nn.Module:
    """Normalised images (N, 3, 112, 112) → embeddings (N, `embedding_size`)."""
    from torch import nn

    layers: list[nn.Module] = [nn.AvgPool2d(2)]
    for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 7 * 7, embedding_size))
