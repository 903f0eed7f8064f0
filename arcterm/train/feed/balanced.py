"""The images of a step where each person is seen equally often, however many images there are of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from arcterm.train.feed.sampler import BatchIndices, Sampler

_STREAM = 5  # apart from what mining and the choice by person draw


class Balanced:
    """Gives `sampler`'s N places of an epoch to C people in turn: N / C each, or one more.

    Place p of epoch e is turn e · N + p of the training. People take turns in an order that is drawn once
    from the seed, and so do the images of a person. So over any number of epochs all people, and all images
    of a person, have as many turns as each other, or one more. In which order an epoch's places are seen is
    `sampler`'s. All follows from the seed and the place: it is the same for any number of ranks.

    `labels` (N,) int64; labels without images take no turns.
    """

    def __init__(self, labels: NDArray[np.int64], sampler: Sampler) -> None:
        self._sampler = sampler
        rng = np.random.default_rng((sampler.seed, _STREAM))
        _, person, self._sizes = np.unique(labels, return_inverse=True, return_counts=True)
        shuffled = rng.permutation(len(labels))
        self._images = shuffled[np.argsort(person[shuffled], kind="stable")]
        self._firsts = self._sizes.cumsum() - self._sizes
        self._turns = rng.permutation(len(self._sizes))

    def images(self, epoch: int, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the image at each of the `places` (n,) of an epoch, from 0: (n,) int64."""
        rounds, turns = np.divmod(epoch * self._sampler.count + places, len(self._turns))
        people = self._turns[turns]
        found: NDArray[np.int64] = self._images[self._firsts[people] + rounds % self._sizes[people]]
        return found

    def choices(self, first: int, last: int) -> Iterator[BatchIndices]:
        """Yield this rank's images of the steps `first` … `last`; keys are those of their places."""
        for choice in self._sampler.choices(first, last):
            epoch = self._sampler.place(choice.step).epoch
            yield choice._replace(indices=self.images(epoch, choice.indices))
