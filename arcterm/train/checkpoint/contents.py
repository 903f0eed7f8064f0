"""What is in a checkpoint: its files by name, and the tensors that each rank puts into its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from arcterm.runs import checkpoints
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.head import file
from arcterm.train.head.head import Head
from arcterm.train.optim import optimizers
from arcterm.train.world import World

BACKBONE, MOMENTUM = checkpoints.BACKBONE, "momentum.safetensors"
LEARNING, FEED = "learning.safetensors", "feed.safetensors"

Held = Mapping[str, Mapping[str, Tensor]]
"""The tensors of each file, by name."""


def own(
    world: World, trained: Trained, feed: Mapping[str, Tensor] | None = None
) -> dict[str, dict[str, Tensor]]:
    """Collect the tensors that this rank saves, by file; `feed` is the state of what makes batches."""
    held: dict[str, dict[str, Tensor]] = {}
    if trained.statistics:
        held[statistics(world)] = dict(trained.statistics)
    if world.first:
        held[BACKBONE] = trained.verified.state_dict()
        if trained.average:
            held[LEARNING] = trained.backbone.state_dict()
        held[MOMENTUM] = optimizers.state(trained.backbone_optimizer, learned(trained), momentum="")
    if isinstance(trained.head, Head):
        name = f"head-{world.rank:05d}-of-{world.size:05d}.safetensors"
        held[name] = file.rows(trained.head, trained.head_optimizer)
        shared = file.shared(trained.head, trained.head_optimizer)
        if shared and world.first:
            held[file.SHARED] = shared
    if feed and world.first:
        held[FEED] = dict(feed)
    return held


def size(held: Held) -> int:
    """Bytes of the tensors."""
    return sum(tensor.nbytes for tensors in held.values() for tensor in tensors.values())


def statistics(world: World) -> str:
    """The file of this rank's statistics in a checkpoint of so many ranks; one rank has none of its own."""
    return f"statistics-{world.rank:05d}-of-{world.size:05d}.safetensors"


def learned(trained: Trained) -> dict[str, Tensor]:
    return {name: p for name, p in trained.backbone.named_parameters() if p.requires_grad}


def not_finite(held: Held) -> list[str]:
    """List the tensors in which a number is not finite."""
    named = {
        f"{name} in {file}": tensor.detach()
        for file, tensors in held.items()
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and tensor.numel()
    }
    # the smallest and the largest take in a NaN, and no copy of the size of the tensor is made
    ends = {name: torch.stack(torch.aminmax(tensor)).tolist() for name, tensor in named.items()}
    return [name for name, end in ends.items() if not all(map(math.isfinite, end))]
