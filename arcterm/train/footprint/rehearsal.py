"""One rank of many without the others: what it computes is real, what it would exchange is counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from arcterm.train.world import World


@dataclass(frozen=True)
class Exchange:
    """A collective; `bytes` are those of the tensor that is reduced, or of the whole that is gathered."""

    operation: str
    bytes: int


@dataclass(frozen=True)
class Rehearsal(World):
    """The first of `size` ranks, alone: each of its collectives gives what has the right shape.

    The rows of the others are its own again, and a sum is its own summand.
    """

    exchanges: list[Exchange] = field(default_factory=list)

    def sum(self, tensor: Tensor) -> Tensor:
        return self._count("all_reduce", tensor)

    def max(self, tensor: Tensor) -> Tensor:
        return self._count("all_reduce", tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        return self._count("all_gather", tensor.repeat(self.size, *(1 for _ in tensor.shape[1:])))

    def scatter_sum(self, tensor: Tensor) -> Tensor:
        self._count("reduce_scatter", tensor)
        return tensor[: tensor.shape[0] // self.size].clone()

    def exchange(self, tensor: Tensor) -> Tensor:
        self._count("all_to_all", tensor)
        return tensor.reshape(self.size, -1, *tensor.shape[1:])

    def _count(self, operation: str, tensor: Tensor) -> Tensor:
        if self.size > 1:
            self.exchanges.append(Exchange(operation, tensor.nbytes))
        return tensor
