"""Which type the backbone computes in, and that what makes the embedding stays exact."""

from __future__ import annotations

import copy

import pytest
import torch
from arcterm_registry import get, names
from torch import nn

from arcterm.train import precision
from arcterm.train.precision import autocast, embedding_layers, has_bfloat16, keep_embedding_exact
from arcterm.verify.embed import normalize

CPU = torch.device("cpu")


class Net(nn.Module):
    def __init__(self, gate=False):
        super().__init__()
        self.conv, self.norm, self.pool = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(2)
        self.gate = nn.Linear(8, 8) if gate else None
        self.fc, self.last = nn.Linear(32, 6), nn.BatchNorm1d(6, affine=False)

    def forward(self, x):
        y = self.norm(self.conv(x))
        if self.gate is not None:
            y = y * self.gate(y.mean((2, 3)))[:, :, None, None]
        return self.last(self.fc(self.pool(y).flatten(1)))


def images(count=4):
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("gate", [False, True])
def test_the_layers_on_vectors_at_the_end(gate):
    net = Net(gate)
    assert embedding_layers(net, images(2)) == [net.fc, net.last]
    assert net.training


def test_a_network_that_ends_in_a_map_has_none():
    assert (
        embedding_layers(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), images())
        == []
    )


@pytest.mark.parametrize("name", ["tiny", "y1", "vit_t"])
@pytest.mark.long
def test_of_the_backbones(name):
    network = get("backbone", name).make()
    kinds = [type(layer).__name__ for layer in embedding_layers(network, torch.zeros(2, 3, 112, 112))]
    assert kinds[-2:] == ["Linear", "BatchNorm1d"]
    assert name in names("backbone")


def test_they_stay_exact_within_autocast():
    torch.manual_seed(0)
    net = Net().eval()
    seen = {}
    net.fc.register_forward_hook(
        lambda layer, args, out: seen.update(given=args[0].detach(), out=out.detach())
    )
    with autocast("bfloat16", CPU):
        rounded = net(images())
    assert seen["out"].dtype == torch.bfloat16
    assert rounded.dtype == torch.bfloat16
    keep_embedding_exact(net, images(2))
    with autocast("bfloat16", CPU):
        exact = net(images())
    assert exact.dtype == torch.float32
    assert torch.equal(seen["out"], nn.functional.linear(seen["given"].float(), net.fc.weight, net.fc.bias))
    assert not torch.equal(rounded.float(), exact)


def test_weights_and_gradients_are_float32_and_a_copy_is_a_copy():
    net = Net()
    keep_embedding_exact(net, images(2))
    other = copy.deepcopy(net)
    with torch.no_grad():
        other.fc.weight.zero_()
        other.fc.bias.zero_()
    assert other.eval()(images()).abs().max() == 0
    with autocast("bfloat16", CPU):
        net(images()).square().sum().backward()
    assert {p.grad.dtype for p in net.parameters()} == {torch.float32}
    assert set(net.state_dict()) == set(Net().state_dict())


@pytest.mark.parametrize(("fast", "auto"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_asks_the_processor(fast, auto, monkeypatch):
    monkeypatch.setattr(precision, "fast_bfloat16", lambda: fast)
    assert has_bfloat16(CPU) is fast
    assert precision.dtype("auto", CPU) == auto
    assert precision.dtype("float32", CPU) == torch.float32
    assert precision.dtype("bfloat16", CPU) == torch.bfloat16


def test_images_and_weights_are_channels_last():
    pixels = torch.zeros(2, 8, 8, 3, dtype=torch.uint8)
    x = normalize(pixels, get("backbone", "tiny").preprocess)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert x.flip(3).is_contiguous(memory_format=torch.channels_last)
    net = Net().to(memory_format=torch.channels_last)
    assert net.conv(x).is_contiguous(memory_format=torch.channels_last)
