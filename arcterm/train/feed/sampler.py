"""The images of a step: a function of seed and step, the same for any number of ranks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm import samples
from arcterm.samples import FROM_START, Begin, Spot

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class BatchIndices(NamedTuple):
    """A rank's images of a step, (B,) int64, and a key each, (B,) uint64.

    Everything that is random about an image follows from its key (see `uniform`).
    """

    step: int
    indices: NDArray[np.int64]
    keys: NDArray[np.uint64]


@dataclass(frozen=True)
class Sampler:
    """Shares `count` images out into global batches; the rest of an epoch that fills no batch is dropped.

    A rank's `share` of a global batch is a slice of it, so the images of a step are the same however many
    ranks share them, and in however many parts each then takes them.
    """

    count: int
    share: int
    rank: int = 0
    world_size: int = 1
    seed: int = 0
    begins: Begin = FROM_START

    @property
    def global_batch(self) -> int:
        """Images per step over all ranks."""
        return self.share * self.world_size

    def place(self, step: int) -> Spot:
        """Find the epoch of a step, from 1, and where in the epoch's order its global batch begins."""
        return samples.place(self.begins, self.count, self.global_batch, step)

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Draw the order of the images in an epoch, (count,) int64."""
        key = np.array([self.seed, epoch], np.uint64)
        return np.random.Generator(np.random.Philox(key=key)).permutation(self.count)

    def batch(self, step: int, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return this rank's images of `step` and their keys; `order` is that of the step's epoch."""
        epoch, offset = self.place(step)
        first = offset + self.rank * self.share
        chosen = order[first : first + self.share]
        return chosen, keys(self.seed, epoch, chosen)

    def choices(self, first: int, last: int) -> Iterator[BatchIndices]:
        """Yield this rank's images of the steps `first` … `last`."""
        epoch, order = -1, np.empty(0, np.int64)
        for step in range(first, last + 1):
            if self.place(step).epoch != epoch:
                epoch = self.place(step).epoch
                order = self.order(epoch)
            yield BatchIndices(step, *self.batch(step, order))


def keys(seed: int, epoch: int, indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Draw a key for each index, from (seed, epoch, index) alone (splitmix64's finalizer)."""
    with np.errstate(over="ignore"):
        x = indices.astype(np.uint64) * _GOLDEN
        x += np.uint64(seed) * _MIX[0] + np.uint64(epoch) * _MIX[1]
        return _mixed(x)


def uniform(keys: NDArray[np.uint64], stream: int) -> NDArray[np.float64]:
    """Draw a number in [0, 1) for each key; those of different streams are independent."""
    with np.errstate(over="ignore"):
        x = _mixed(keys + np.uint64(stream + 1) * _GOLDEN)
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    for multiplier in _MIX:
        x = (x ^ x >> np.uint64(31)) * multiplier
    return x ^ x >> np.uint64(31)
