"""Gradients of several ranks are summed in one order from the first step on: a resume changes no bit."""

from __future__ import annotations

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from arcterm.train.stepmodel import StepModel
from arcterm.train.world import World

from ..ranks import spawn
from ..runs.conftest import config
from .test_loop import Heard

RANKS = 3


def network() -> nn.Module:
    """Layers whose gradients come in another order than that of the parameters."""
    torch.manual_seed(0)

    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last, self.norm = nn.Linear(64, 16), nn.BatchNorm1d(64)
            self.first = nn.Sequential(nn.AvgPool2d(8), nn.Flatten(), nn.Linear(588, 64))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.last(self.norm(self.first(images)))

    return Crossed()


def gradients(model, backbone, rank) -> list[torch.Tensor]:
    """Those of one step, with images of the rank's own and batch norms in training."""
    backbone.zero_grad(set_to_none=True)
    images = torch.randn(4, 3, 112, 112, generator=torch.Generator().manual_seed(rank))
    model(images).square().mean().backward()
    return [p.grad.clone() for p in backbone.parameters()]


def same(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(some, others, strict=True))


def rank_of_three(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    asked = config(nproc=RANKS, batch_size=4, precision="float32")
    backbone = network()
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    model = StepModel(asked, backbone, World(rank, RANKS), Heard())
    after = backbone.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert all(p.grad is None for p in backbone.parameters())
    assert same(gradients(model, backbone, rank), gradients(model, backbone, rank))
    bare = network()
    plain = DistributedDataParallel(bare, gradient_as_bucket_view=True)
    assert not same(gradients(plain, bare, rank), gradients(plain, bare, rank)), "nothing would be seen"


@pytest.mark.slow
def test_the_first_step_is_rounded_as_those_after_it(tmp_path):
    spawn(rank_of_three, (str(tmp_path),), RANKS)
