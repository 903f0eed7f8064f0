"""Batches of several images of each of several people, for losses that compare the images of a batch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.samples import FROM_START, Begin
from arcterm.train.feed.sampler import BatchIndices, keys

_STREAM = 3  # apart from what mining draws


class Identities:
    """Global batches of P = batch / K different people with K images each, K = `per_identity`.

    In an epoch a person's images are dealt out in groups of K, none twice; what fills no group is left out,
    and who has fewer than K images has one group in which they repeat. The batches follow from (seed, step)
    and are the same for any number of ranks. Since what an epoch deals out depends on the size of a batch,
    another size, after `begins`, begins with an epoch of its own. `labels` (N,) int64. Raises `DataError`
    for too few people.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        per_identity: int,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        seed: int = 0,
        begins: Begin = FROM_START,
    ) -> None:
        self._labels = np.unique(labels, return_inverse=True)[1]
        self._sizes = np.bincount(self._labels)
        self._each = per_identity
        self._batch_size = batch_size
        self._rank = rank
        self._seed = seed
        self._begin = begins.step
        self.people = batch_size * world_size // per_identity
        if self.people > len(self._sizes):
            raise DataError(
                f"a step takes {self.people} people and the data set has images of {len(self._sizes)}",
                "`arcterm resume RUN` with a lower --batch-size goes on",
            )
        self.steps_per_epoch = _steps(np.maximum(self._sizes // per_identity, 1), self.people)

    def table(self, epoch: int) -> NDArray[np.int64]:
        """Draw the images of every batch of an epoch, from 0: (steps, P, K) int64."""
        rng = np.random.default_rng((self._seed, _STREAM, epoch, *filter(None, [self._begin])))
        order = rng.permutation(len(self._sizes))  # of people
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        images = np.lexsort((rng.random(len(self._labels)), place[self._labels]))
        sizes = self._sizes[order]
        groups = np.clip(sizes // self._each, 1, self.steps_per_epoch)
        person = np.repeat(np.arange(len(order)), groups)
        number = np.arange(len(person)) - np.repeat(groups.cumsum() - groups, groups)
        slots = (number[:, None] * self._each + np.arange(self._each)) % sizes[person, None]
        dealt = images[(sizes.cumsum() - sizes)[person, None] + slots]
        # no person has more groups than there are batches, so dealt out in turn they meet different batches
        taken = dealt[: self.steps_per_epoch * self.people]
        table = taken.reshape(self.people, self.steps_per_epoch, self._each).swapaxes(0, 1)
        return table[rng.permutation(self.steps_per_epoch)]

    def choices(self, first: int, last: int) -> Iterator[BatchIndices]:
        """Yield this rank's images of the steps `first` … `last`."""
        slots = np.arange(self._rank * self._batch_size, (self._rank + 1) * self._batch_size)
        epoch, table = -1, np.empty((0, 0, 0), np.int64)
        for step in range(first, last + 1):
            number, within = divmod(max(0, step - self._begin - 1), self.steps_per_epoch)
            if number != epoch:
                epoch = number
                table = self.table(epoch)
            indices = table[within].ravel()[slots]
            yield BatchIndices(step, indices, keys(self._seed, step, slots))


class SamePerson:
    """Substitutes for an image that can't be used: the person's others, those that follow it first."""

    def __init__(self, labels: NDArray[np.int64]) -> None:
        self._order = np.argsort(labels, kind="stable")
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(labels))
        ranked = labels[self._order]
        self._first = np.searchsorted(ranked, labels, "left")
        self._end = np.searchsorted(ranked, labels, "right")

    def __call__(self, index: int) -> Iterator[int]:
        first, end, place = int(self._first[index]), int(self._end[index]), int(self._place[index])
        for step in range(1, end - first):
            yield int(self._order[first + (place - first + step) % (end - first)])


def _steps(groups: NDArray[np.int64], people: int) -> int:
    """Count the batches of `people` different people that `groups` (groups of each person) fill."""
    low, high = 1, int(groups.sum()) // people
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(groups, middle).sum()) >= middle * people:
            low = middle
        else:
            high = middle - 1
    return low
