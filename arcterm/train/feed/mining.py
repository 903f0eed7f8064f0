"""Semi-hard triplets found with the current weights, as the MXNet pipeline of 2018 found them.

A pool holds a few images of each person, person by person in random order. Bags are cut from it in turn and
embedded; each pair of images of one person in a bag gets a negative, chosen at random among those that the
loss admits. What is drawn follows from the seed and the numbers of pool, round and bag.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from arcterm.errors import TrainingError
from arcterm.train.world import World

MAX_BAGS = 20
"""Bags after which a round that fills no batch is given up."""
_ENOUGH = 2  # batches, for which 2018 filled bag after bag
_POOL, _ROUND = 1, 2  # streams of chance
_PAIRS_AT_ONCE = 1024

Admits = Callable[[Tensor, Tensor], Tensor]
Embed = Callable[[NDArray[np.int64]], Tensor]


@dataclass(frozen=True)
class Sequence:
    """The batches of a round: `triplets` (M, T, 3) int64 image indices for the steps after `first`.

    `pool` and `cursor` say where the next bag begins.
    """

    triplets: NDArray[np.int64]
    round: int = 0
    pool: int = 0
    cursor: int = 0
    first: int = 0

    @property
    def last(self) -> int:
        """The step of its last batch."""
        return self.first + len(self.triplets)

    def tensors(self) -> dict[str, Tensor]:
        """The sequence as tensors for a checkpoint."""
        place = [self.round, self.pool, self.cursor, self.first]
        return {"triplets": torch.from_numpy(self.triplets), "place": torch.tensor(place)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], start: int) -> Sequence:
        """Read the sequence of a checkpoint; without `tensors` an empty one that ends at step `start`."""
        if not tensors:
            return cls(np.empty((0, 0, 3), np.int64), first=start)
        return cls(tensors["triplets"].numpy(), *tensors["place"].tolist())

    def fitting(self, size: int, step: int) -> Sequence:
        """Return itself if its batches have `size` triplets, else one that ends at `step`, to mine anew."""
        if self.triplets.shape[1] == size:
            return self
        return Sequence(np.empty((0, size, 3), np.int64), self.round, self.pool, self.cursor, step)


@dataclass
class MiningCounts:
    """Counts of a round: bags, their images, pairs of one person, triplets found."""

    bags: int = 0
    images: int = 0
    pairs: int = 0
    triplets: int = 0


@dataclass
class Miner:
    """Mines batches of `size` triplets; `labels` (N,) int64 are those of all images.

    `embed` gives normalised embeddings (n, D) of images by index, the same on every rank. The choice is rank
    0's: were it left to each, a rounding error on one machine would part them.
    """

    labels: NDArray[np.int64]
    images_per_identity: int
    bag: int
    size: int
    seed: int
    admits: Admits
    embed: Embed
    world: World
    _pool: tuple[int, NDArray[np.int64]] = field(default=(-1, np.empty(0, np.int64)))

    def mine(self, before: Sequence, step: int, tally: MiningCounts) -> Sequence:
        """Mine the round after `before`, for the steps after `step`; `tally` is counted up meanwhile.

        Raises `TrainingError` if `MAX_BAGS` bags hold too few triplets for one batch.
        """
        number, pool, cursor = before.round + 1, before.pool, before.cursor
        found: list[NDArray[np.int64]] = []
        while sum(map(len, found)) < _ENOUGH and tally.bags < MAX_BAGS:
            images, pool, cursor = self._next_bag(pool, cursor)
            tally.images += len(images)
            picked = self._pick(self.embed(images), images, (number, tally.bags), tally)
            whole = len(picked) // self.size
            found.append(images[picked[: whole * self.size]].reshape(whole, self.size, 3))
            tally.bags += 1
        triplets = np.concatenate(found)
        if not len(triplets):
            raise TrainingError(
                f"mining found {tally.triplets} triplets in {tally.bags} bags of "
                f"{tally.images // tally.bags} images, and in no bag the {self.size} of a step",
                "start a new run with a higher --set loss.bag or --margin, a lower --batch-size, or "
                "--pretrained; once the loss is 0 there is nothing left to learn",
            )
        return Sequence(triplets, number, pool, cursor, step)

    def _next_bag(self, pool: int, cursor: int) -> tuple[NDArray[np.int64], int, int]:
        """Return the images at the cursor, and where the next bag begins; never across the end of a pool."""
        bag = min(self.bag, len(self._pooled(pool)))
        if cursor + bag > len(self._pooled(pool)):
            pool, cursor = pool + 1, 0
        return self._pooled(pool)[cursor : cursor + bag], pool, cursor + bag

    def _pooled(self, number: int) -> NDArray[np.int64]:
        if self._pool[0] != number:
            self._pool = number, draw_pool(self.labels, self.images_per_identity, self.seed, number)
        return self._pool[1]

    def _pick(
        self, unit: Tensor, images: NDArray[np.int64], number: tuple[int, int], tally: MiningCounts
    ) -> NDArray[np.int64]:
        """Pick (n, 3) places in the bag on rank 0, in random order, and send them to all ranks."""
        labels = self.labels[images]
        couples = pairs(labels)
        tally.pairs += len(couples)
        picked = np.empty((0, 3), np.int64)
        if self.world.first:
            rng = np.random.default_rng((self.seed, _ROUND, *number))
            picked = rng.permutation(pick(unit, labels, couples, self.admits, rng))
        count = int(self.world.sum(torch.tensor(len(picked))).item())
        tally.triplets += count
        shared = torch.zeros(count, 3, dtype=torch.int64)
        shared[: len(picked)] = torch.from_numpy(picked)
        return self.world.sum(shared).numpy()


def draw_pool(labels: NDArray[np.int64], each: int, seed: int, number: int) -> NDArray[np.int64]:
    """Draw pool `number`: the indices of at most `each` random images a person, people in random order."""
    rng = np.random.default_rng((seed, _POOL, number))
    place = rng.permutation(int(labels.max()) + 1)[labels]
    order = np.lexsort((rng.random(len(labels)), place))
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    within = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return order[within < each]


def pairs(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the (P, 2) places i < j of equal label, ascending, in `labels` whose equal ones stand together."""
    found = [np.empty((0, 2), np.int64)]
    for distance in range(1, len(labels)):
        first = np.flatnonzero(labels[distance:] == labels[:-distance])
        if not len(first):
            break
        found.append(np.stack([first, first + distance], axis=1))
    whole = np.concatenate(found)
    return whole[np.lexsort((whole[:, 1], whole[:, 0]))]


def pick(
    unit: Tensor,
    labels: NDArray[np.int64],
    couples: NDArray[np.int64],
    admits: Admits,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Pick (n, 3) places: anchor, positive and a random admitted negative, for the pairs that have one.

    `unit` (B, D) normalised embeddings, `labels` (B,), `couples` (P, 2) pairs of one person.
    """
    chance = torch.from_numpy(rng.random(len(couples)))
    people = torch.from_numpy(labels).to(unit.device)
    found = []
    for start in range(0, len(couples), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        couple = torch.from_numpy(couples[part]).to(unit.device)
        anchor, positive = couple.T
        squared = (2 - 2 * unit[anchor] @ unit.T).clamp_(min=0)
        wanted = admits(squared.gather(1, positive[:, None]), squared)
        wanted = wanted & (people[anchor, None] != people)
        so_far = wanted.cumsum(1, dtype=torch.int32)
        count = so_far[:, -1]
        which = (chance[part].to(unit.device, torch.float64) * count).to(torch.int32)
        negative = (so_far > which[:, None]).to(torch.uint8).argmax(1)
        found.append(torch.cat([couple, negative[:, None]], dim=1)[count > 0].cpu().numpy())
    return np.concatenate([np.empty((0, 3), np.int64), *found])
