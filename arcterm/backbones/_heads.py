"""The output part of a network: from its last map to the embedding, by InsightFace's letters.

Outputs E to J flatten the map, A to D average it first; X after a letter drops a fifth of the averages.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from arcterm.backbones._layers import embedding_norm, fixed_norm
from arcterm.backbones.sizes import OUTPUTS, require

Named = dict[str, nn.Module]

_SHORTEST = 1e-6  # more than 0 in float16 too


class NormAware(nn.Module):
    """Scales every place of a map to the mean length of all: (N, C, H, W) → the same shape.

    The mean is over the whole batch, in inference too: an embedding depends on the images beside it. A place
    of length 0 stays 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Multiply each place by mean(lengths over batch and space) / its own length."""
        lengths = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        factor: Tensor = lengths.mean() / lengths.clamp_min(_SHORTEST)
        return x * factor


class OutputLayers(nn.Sequential):
    """`layers` one after the other: (N, C, H, W) → (N, `embedding_size`)."""

    def __init__(
        self,
        output: str,
        channels: int,
        side: int,
        embedding_size: int,
        *,
        dropout: float,
        eps: float = 2e-5,
    ) -> None:
        super().__init__(
            OrderedDict(layers(output, channels, side, embedding_size, dropout=dropout, eps=eps))
        )


def layers(
    output: str, channels: int, side: int, embedding_size: int, *, dropout: float, eps: float = 2e-5
) -> Named:
    """The named layers of `output` on a (N, `channels`, `side`, `side`) map, to be run in their order.

    `dropout` acts in E, F and Z. Raises `ValueError` for an unknown output, and for A, AX and Z with another
    `embedding_size` than the map gives.
    """
    if output not in OUTPUTS:
        raise ValueError(f"output {output!r} is unknown; it is one of {', '.join(OUTPUTS)}")
    require(output, channels, side, embedding_size)
    if output == "GDC":
        return _depthwise(channels, side, embedding_size, eps)
    if output == "GNAP":
        return _norm_aware(channels, embedding_size, eps)
    if output in "EFGHIJZ":
        return _flattened(output, channels, side, embedding_size, dropout, eps)
    return _averaged("C" if output == "GAP" else output, channels, embedding_size, eps)


def _flattened(
    output: str, channels: int, side: int, embedding_size: int, dropout: float, eps: float
) -> Named:
    named: Named = {}
    if output in "EFGIZ":
        named["bn2"] = nn.BatchNorm2d(channels, eps=eps)
    if output in "EFZ":
        named["dropout"] = nn.Dropout(dropout)
    named["flatten"] = nn.Flatten()
    if output != "Z":
        named["fc"] = nn.Linear(channels * side**2, embedding_size)
    if output in "EIJ":
        named["features"] = embedding_norm(embedding_size, eps)
    return named


def _averaged(output: str, channels: int, embedding_size: int, eps: float) -> Named:
    named: Named = {"bn2": nn.BatchNorm2d(channels, eps=eps), "prelu2": nn.PReLU(channels), **_mean()}
    if output.endswith("X"):
        named["dropout"] = nn.Dropout(0.2)
    if output[0] != "A":
        named["fc"] = nn.Linear(channels, embedding_size)
    if output[0] in "CD":
        named["features"] = embedding_norm(embedding_size, eps)
    if output[0] == "D":
        named["prelu3"] = nn.PReLU(embedding_size)
    return named


def _depthwise(channels: int, side: int, embedding_size: int, eps: float) -> Named:
    return {
        "gdc": nn.Conv2d(channels, channels, side, groups=channels, bias=False),
        "bn2": nn.BatchNorm2d(channels, eps=eps),
        "flatten": nn.Flatten(),
        "fc": nn.Linear(channels, embedding_size),
        "features": embedding_norm(embedding_size, eps),
    }


def _norm_aware(channels: int, embedding_size: int, eps: float) -> Named:
    named: Named = {}
    width = max(channels, embedding_size)
    if width > channels:
        named["widen"] = nn.Conv2d(channels, width, 1, bias=False)
        named["widen_bn"] = nn.BatchNorm2d(width, eps=eps)
        named["widen_prelu"] = nn.PReLU(width)
    named |= {"bn2": fixed_norm(width, eps), "scale": NormAware(), **_mean()}
    if width > embedding_size:
        named["bn3"] = embedding_norm(width, eps)
        named["fc"] = nn.Linear(width, embedding_size)
    named["features"] = embedding_norm(embedding_size, eps)
    return named


def _mean() -> Named:
    return {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
