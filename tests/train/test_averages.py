"""The average of the weights, against its formula."""

from __future__ import annotations

import torch
from torch import nn

from arcterm.train.optim.averages import Average


def test_it_is_its_formula_for_weights_and_statistics():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(4)
    ).double()
    average = Average(network, 0.9)
    wanted = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    for step in range(1, 121):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step)))
        network(torch.randn(2, 3, 5, 5, dtype=torch.float64))
        average.follow(step)
        kept = min(0.9, (1 + step) / (10 + step))
        for name, tensor in network.state_dict().items():
            floats = tensor.is_floating_point()
            wanted[name] = kept * wanted[name] + (1 - kept) * tensor if floats else tensor.clone()
    for name, tensor in average.network.state_dict().items():
        torch.testing.assert_close(tensor, wanted[name], rtol=1e-12, atol=1e-12)
    assert not any(parameter.requires_grad for parameter in average.network.parameters())
    average.begin()
    for name, tensor in average.network.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name])
