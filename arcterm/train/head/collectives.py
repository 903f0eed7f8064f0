"""Collectives that autograd can differentiate.

Every rank ends with the same loss, so the question is always which ranks' gradients of a value are parts of
the whole, to be summed, and which are the whole already, to be counted once.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function

from arcterm.train.world import World


def gather(local: Tensor, world: World) -> Tensor:
    """Gather (n, …) of every rank as (size · n, …); each rank then uses it for its own classes only."""
    whole: Tensor = _Gather.apply(local, world)
    return whole


def gather_alike(local: Tensor, world: World) -> Tensor:
    """Gather as `gather` does, where every rank then computes the same from it."""
    whole: Tensor = _GatherAlike.apply(local, world)
    return whole


def reduce(local: Tensor, world: World) -> Tensor:
    """Sum over the ranks; every rank then computes the same from the sum."""
    total: Tensor = _Reduce.apply(local, world)
    return total


def spread(value: Tensor, world: World) -> Tensor:
    """Pass on a value that all ranks have and of which each then uses its part."""
    same: Tensor = _Spread.apply(value, world)
    return same


def count_once(value: Tensor, world: World) -> Tensor:
    """Pass on a function of gathered rows that every rank computes alike."""
    same: Tensor = _CountOnce.apply(value, world)
    return same


class _Gather(Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, world: World) -> Tensor:
        ctx.world = world
        return world.gather(local)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        # Each rank has the gradient of all rows by its own classes: summed, our rows of it are whole. DDP
        # then averages over the ranks, yet the loss is the mean of the global batch already: hence × size.
        return ctx.world.scatter_sum(grads[0]) * ctx.world.size, None


class _GatherAlike(Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, world: World) -> Tensor:
        ctx.world, ctx.rows = world, local.shape[0]
        return world.gather(local)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        # The gradient is whole on every rank, so nothing is exchanged; × size for DDP, as in `_Gather`.
        first = ctx.world.rank * ctx.rows
        return grads[0][first : first + ctx.rows] * ctx.world.size, None


class _Reduce(Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor, world: World) -> Tensor:
        return world.sum(local.clone())

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return grads[0], None  # whole on every rank, and by each summand the same


class _Spread(Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, world: World) -> Tensor:
        ctx.world = world
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return ctx.world.sum(grads[0].clone()), None


class _CountOnce(Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, world: World) -> Tensor:
        ctx.size = world.size
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        return grads[0] / ctx.size, None  # `_Gather` sums over the ranks what each of them has whole
