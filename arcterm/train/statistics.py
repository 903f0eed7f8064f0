"""The running statistics of batch norms: each rank has those of its own images, a network has their mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from arcterm.train.world import World


@contextmanager
def kept(backbone: nn.Module) -> Iterator[dict[str, Tensor]]:
    """Yield copies of the statistics by name, and give them back to the backbone at the end."""
    live = _live(backbone)
    own = {name: buffer.clone() for name, buffer in live.items()}
    try:
        yield own
    finally:
        _set(live, own)


@contextmanager
def averaged(backbone: nn.Module, world: World) -> Iterator[dict[str, Tensor]]:
    """Give the backbone the mean of all ranks' statistics, to save, to verify or to mine with.

    At the end it has its own again, which are yielded by name: so a training that is saved or verified at
    other steps ends in the same bits. On one rank nothing happens. All ranks call it together.
    """
    live = _live(backbone)
    if world.size == 1 or not live:
        yield {}
        return
    with kept(backbone) as own:
        # in float64, so that the mean of what is equal already is the same to the last bit
        whole = world.sum(torch.cat([b.double().flatten() for b in own.values()])).div_(world.size)
        _set(live, dict(zip(live, whole.split([b.numel() for b in own.values()]), strict=True)))
        yield own


def _live(backbone: nn.Module) -> dict[str, Tensor]:
    return {name: buffer for name, buffer in backbone.named_buffers() if buffer.is_floating_point()}


@torch.no_grad()
def _set(buffers: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    for name, buffer in buffers.items():
        buffer.copy_(values[name].view_as(buffer))
