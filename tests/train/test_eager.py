"""torch's optimizers without its compiler: the same numbers, and one import less."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from arcterm.train.optim.eager import EagerAdamW, EagerSGD

PAIRS = [
    (torch.optim.SGD, EagerSGD, {"momentum": 0.9, "fused": True}),
    (torch.optim.SGD, EagerSGD, {"momentum": 0.0}),
    (torch.optim.AdamW, EagerAdamW, {"betas": (0.9, 0.999), "fused": True}),
]


def steps(kind, how):
    """The weights after three steps, and the optimizer's state of them."""
    weight = nn.Parameter(torch.linspace(-1, 1, 12).view(3, 4))
    optimizer = kind([{"params": [weight], "weight_decay": 0.1}], lr=0.3, **how)
    for number in range(3):
        optimizer.zero_grad(set_to_none=True)
        (weight.sin() * (number + 1)).sum().backward()
        optimizer.step()
    return weight.detach(), optimizer.state[weight]


@pytest.mark.parametrize(("torchs", "ours", "how"), PAIRS, ids=str)
def test_it_is_torchs_bit_for_bit(torchs, ours, how):
    expected, state = steps(torchs, how)
    found, own = steps(ours, how)
    assert torch.equal(found, expected)
    assert own.keys() == state.keys()
    assert all(torch.equal(own[k], state[k]) for k in state if isinstance(state[k], torch.Tensor))


@pytest.mark.parametrize(("torchs", "ours", "how"), PAIRS, ids=str)
def test_it_needs_no_compiler(torchs, ours, how, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # an import of it raises
    steps(ours, how)
    with pytest.raises(ImportError):
        steps(torchs, how)
