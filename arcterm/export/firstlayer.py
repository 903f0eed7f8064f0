"""The first convolution of a network, which can take up how its images enter."""

from __future__ import annotations

import torch
from arcterm_registry import Preprocess
from torch import nn

from arcterm.export.layers import in_order


def change_input(
    network: nn.Module, input_size: tuple[int, int], here: Preprocess, wanted: Preprocess
) -> bool:
    """Make a network that takes images as `here` compute the same from images as `wanted`, in place.

    The weights take up the order of the planes and what each is multiplied with. False, with nothing changed,
    if another number is subtracted, since zeros at the border would no longer be the same, or if the network
    does not begin with a convolution.
    """
    before, after = here.planes, wanted.planes
    first = in_order(network, input_size)[0][1]
    if (
        not isinstance(first, nn.Conv2d)
        or (first.in_channels, first.groups) != (3, 1)
        or any(mean != other for (mean, _), (other, _) in zip(before, after, strict=True))
    ):
        return False
    ratios = torch.tensor(
        [scale / other for (_, scale), (_, other) in zip(before, after, strict=True)], dtype=torch.float64
    )
    with torch.no_grad():
        weight = first.weight.double()
        rgb = weight.flip(1) if here.channels == "bgr" else weight
        rgb = rgb * ratios.reshape(3, 1, 1)
        first.weight.copy_(rgb.flip(1) if wanted.channels == "bgr" else rgb)
    return True
