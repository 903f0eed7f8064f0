"""Which images of held-out people make up a verification set, and in which order.

The images are numbered in order, person by person. Same pairs are (i, j), i < j, of one person, in that
order; different pairs are drawn without replacement from all (a, b), a < b, of two persons, in that order.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, combinations
from typing import NamedTuple

from arcterm.errors import DataError

BLOCKS = 10


class Pair(NamedTuple):
    """Two image numbers and whether they show one person."""

    a: int
    b: int
    same: bool


def make_pairs(counts: Sequence[int], limit: int | None = None) -> list[Pair]:
    """As many same as different pairs of persons with `counts` images each, in ten like blocks.

    There are as many as the rarer kind allows, or `limit` in all. Fewer same pairs than there are come evenly
    from their list; different pairs are `random.Random(0).sample` of theirs. Raises `DataError` if a kind has
    none, or too few for `limit`.
    """
    same, different = same_pairs(counts), DifferentPairs(counts)
    most = min(len(same), len(different))
    if not most:
        raise DataError(
            f"the held-out people allow {len(same)} same and {len(different)} different pairs",
            "hold out at least two people, one of them with two images or more",
        )
    if limit is not None and not (limit > 0 and limit % 2 == 0 and limit <= 2 * most):
        raise DataError(f"{limit} pairs can't be made", f"ask for an even number from 2 to {2 * most}")
    count = most if limit is None else limit // 2
    chosen = [same[len(same) * n // count] for n in range(count)]
    # Sampling positions draws what sampling the list itself would, without ever holding millions of pairs.
    drawn = [different[n] for n in random.Random(0).sample(range(len(different)), count)]  # noqa: S311
    pairs = []
    for block in range(BLOCKS):
        share = slice(count * block // BLOCKS, count * (block + 1) // BLOCKS)
        pairs += chosen[share] + drawn[share]
    return pairs


def same_pairs(counts: Sequence[int]) -> list[Pair]:
    """Every two images of one person."""
    ends = list(accumulate(counts))
    people = (range(end - count, end) for count, end in zip(counts, ends, strict=True))
    return [Pair(a, b, True) for images in people for a, b in combinations(images, 2)]


class DifferentPairs(Sequence[Pair]):
    """Every two images of different persons, computed when asked for."""

    def __init__(self, counts: Sequence[int]) -> None:
        ends = list(accumulate(counts))
        self._others = [end for count, end in zip(counts, ends, strict=True) for _ in range(count)]
        images = len(self._others)
        self._until = list(accumulate(images - end for end in self._others))

    def __len__(self) -> int:
        return self._until[-1] if self._until else 0

    def __getitem__(self, index: int) -> Pair:  # type: ignore[override]
        """Pair `index`; image a is followed by the `_others[a]`-th and later images."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        a = bisect_right(self._until, index)
        before = self._until[a - 1] if a else 0
        return Pair(a, self._others[a] + index - before, False)
