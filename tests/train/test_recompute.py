"""Blocks that are computed twice: the same gradients to the bit, statistics counted once, less memory."""

from __future__ import annotations

import copy

import pytest
import torch
from arcterm_registry import get
from torch import nn

from arcterm.errors import ConfigError
from arcterm.train.recompute import blocks, recompute


class Counting(nn.Module):
    """Not torch's norm: remembers how often it was run, and gives something else every time."""

    def __init__(self):
        super().__init__()
        self.register_buffer("runs", torch.zeros(()))

    def forward(self, x):
        self.runs += 1
        return (x * self.runs).sin()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4, momentum=None)  # a mean over all batches: counts them too
        self.drop = nn.Dropout(0.5)
        self.own = Counting()

    def forward(self, x):
        return x + self.own(self.drop(self.norm(self.conv(x)).relu()))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), Block(), nn.Sequential(Block(), Block()), nn.Flatten())


def trained(made, steps=3):
    """Gradients of every step, and all buffers at the end."""
    seen = []
    for step in range(steps):
        torch.manual_seed(step)
        made.zero_grad()
        made(torch.randn(2, 3, 6, 6)).square().sum().backward()
        seen += [p.grad.clone() for p in made.parameters()]
    return seen, dict(made.named_buffers())


def same(a, b):
    (gradients, buffers), (others, held) = a, b
    assert all(torch.equal(x, y) for x, y in zip(gradients, others, strict=True))
    assert all(torch.equal(x, held[name]) for name, x in buffers.items())


def test_the_same_gradients_and_statistics():
    plain, twice = network(), network()
    assert len(recompute(twice, "x")) == 3
    same(trained(plain), trained(twice))
    assert twice[1].norm.num_batches_tracked == 3


def test_counting_a_batch_twice_would_be_noticed():
    plain, twice = network(), network()
    for block in blocks(twice):
        forward = block.forward
        block.forward = lambda x, f=forward: torch.utils.checkpoint.checkpoint(f, x, use_reentrant=False)
    with pytest.raises(AssertionError):
        same(trained(plain), trained(twice))


def test_less_is_kept():
    def kept(made):
        sizes = []
        x = torch.randn(2, 3, 6, 6)

        def pack(tensor):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            made(x)
        return sum(sizes)

    plain, twice = network(), network()
    recompute(twice, "x")
    assert kept(twice) < kept(plain) / 2


def test_nothing_is_recomputed_in_evaluation_and_a_copy_is_a_copy():
    made = network()
    recompute(made, "x")
    x = torch.randn(2, 3, 6, 6)
    other = copy.deepcopy(made)
    with torch.no_grad():
        for p in other.parameters():
            p.zero_()
    made(x).sum().backward()
    assert all(p.grad is None for p in other.parameters())
    assert other(x).abs().sum() == 0
    assert set(made.state_dict()) == set(network().state_dict())


@pytest.mark.long
def test_blocks():
    made = network()
    assert blocks(made) == [made[1], made[2][0], made[2][1]]
    y1 = get("backbone", "y1").make()
    assert len(blocks(y1)) == 15
    with torch.device("meta"):
        r50, vit = get("backbone", "r50").make(), get("backbone", "vit_t").make()
    assert len(blocks(r50)) == 3 + 4 + 14 + 3
    assert len(blocks(vit)) == 12
    vit.recomputable = [vit.patch_embed]
    assert blocks(vit) == [vit.patch_embed]


def test_a_network_without_blocks_is_refused():
    with pytest.raises(ConfigError, match="backbone 'flat' has no blocks") as error:
        recompute(nn.Sequential(nn.Flatten(), nn.Linear(3, 4)), "flat")
    assert "recomputable" in error.value.hint
