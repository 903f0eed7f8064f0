"""Arrays put into a network layer by layer, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from arcterm.errors import DataError
from arcterm.export.layers import Layer, fill, in_order

pytestmark = pytest.mark.long


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 2, 3, bias=False), nn.BatchNorm2d(2, eps=1e-3), nn.Flatten())


def layers(bias: float, frozen: bool = False) -> list[Layer]:
    convolution = {"weight": torch.ones(2, 3, 3, 3), "bias": torch.full((2,), bias)}
    norm = {
        "weight": torch.full((2,), 5.0), "bias": torch.zeros(2), "running_mean": torch.zeros(2),
        "running_var": torch.ones(2),
    }  # fmt: skip
    return [
        Layer("convolution", "conv0", convolution),
        Layer("batch norm", "bn0", norm, eps=2e-5, frozen=frozen),
    ]


def test_a_bias_that_has_no_place_is_refused_and_one_of_zero_is_not_missed():
    made = network()
    with pytest.raises(DataError, match="convolution 'conv0' has a bias, and '0' of this backbone has none"):
        fill(layers(0.5), in_order(made, (3, 3)))
    assert fill(layers(0.0), in_order(made, (3, 3))).missing == []


@pytest.mark.parametrize("frozen", [False, True])
def test_what_a_norm_adds_is_kept_and_a_frozen_gamma_counts_as_one(frozen):
    made = network().eval()
    fill(layers(0.0, frozen), in_order(made, (3, 3)))
    x = torch.randn(1, 3, 3, 3, dtype=torch.float64)
    wanted = (1 if frozen else 5) * x.sum() / (1 + 2e-5) ** 0.5
    torch.testing.assert_close(made.double()(x)[0, 0], wanted, rtol=1e-7, atol=0)
    assert made[1].eps == 1e-3
