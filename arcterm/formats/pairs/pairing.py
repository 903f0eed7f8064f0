"""Choose and order the image pairs of a verification set.

The images are numbered in order, person by person. Same pairs are (i, j), i < j, of one person, in that
order; different pairs are drawn without replacement from all (a, b), a < b, of two persons, in that order.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple, TypeVar

from arcterm.errors import DataError

T = TypeVar("T")

BLOCKS = 10
# Two images a pair, and a .bin has a million images at most.
MAX_PAIRS = 500_000


class ImagePair(NamedTuple):
    """Two image numbers and whether they show one person."""

    a: int
    b: int
    same: bool


def make_pairs(counts: Sequence[int], limit: int | None = None, seed: int = 0) -> list[ImagePair]:
    """Make as many same as different pairs of persons with `counts` images each, in ten like blocks.

    There are as many as the rarer kind allows, or `limit` in all. Fewer same pairs than there are come evenly
    from their list, from the first on, or with another `seed` than 0 from a drawn one; different pairs are
    `random.Random(seed).sample` of theirs. Raises `DataError` if a kind has none, too few for `limit`, or
    more than a file can hold.
    """
    same, different = same_pairs(counts), different_pairs(counts)
    most = min(len(same), len(different))
    if not most:
        raise DataError(
            f"the people allow {len(same)} same and {len(different)} different pairs",
            "take at least two people, one of them with two images or more",
        )
    largest = min(2 * most, MAX_PAIRS)
    if limit is not None and not (limit > 0 and limit % 2 == 0 and limit <= largest):
        raise DataError(f"{limit} pairs can't be made", f"ask for an even number from 2 to {largest}")
    if limit is None and 2 * most > MAX_PAIRS:
        raise DataError(
            f"all {2 * most} pairs that balance are too many", f"ask for --pairs {MAX_PAIRS} or fewer"
        )
    count = most if limit is None else limit // 2
    rng = random.Random(seed)  # noqa: S311
    shift = rng.randrange(len(same)) if seed else 0
    chosen = [same[(len(same) * n + shift) // count] for n in range(count)]
    # Sampling positions draws what sampling the list itself would, without ever holding millions of pairs.
    drawn = [different[n] for n in rng.sample(range(len(different)), count)]
    return interleave([chosen, drawn])


def interleave(parts: Sequence[Sequence[T]]) -> list[T]:
    """Order items in ten blocks, each with a tenth of every part, so that contiguous folds are alike."""
    return [
        item
        for block in range(BLOCKS)
        for part in parts
        for item in part[len(part) * block // BLOCKS : len(part) * (block + 1) // BLOCKS]
    ]


def same_pairs(counts: Sequence[int]) -> Sequence[ImagePair]:
    """Every two images of one person, computed when asked for."""
    ends = _ends(counts)
    firsts = list(range(1, len(ends) + 1))  # image a has a pair with each later image of its person
    return _Pairs(True, firsts, [end - first for first, end in zip(firsts, ends, strict=True)])


def different_pairs(counts: Sequence[int]) -> Sequence[ImagePair]:
    """Every two images of different persons, computed when asked for."""
    ends = _ends(counts)
    return _Pairs(False, ends, [len(ends) - end for end in ends])


def _ends(counts: Sequence[int]) -> list[int]:
    """For each image one past the last of its person."""
    return [end for count, end in zip(counts, accumulate(counts), strict=True) for _ in range(count)]


class _Pairs(Sequence[ImagePair]):
    """Image a has pairs with `counts[a]` images, from `firsts[a]` on."""

    def __init__(self, same: bool, firsts: Sequence[int], counts: Sequence[int]) -> None:
        self._same, self._firsts = same, firsts
        self._until = list(accumulate(counts))

    def __len__(self) -> int:
        return self._until[-1] if self._until else 0

    def __getitem__(self, index: int) -> ImagePair:  # type: ignore[override]
        if not 0 <= index < len(self):
            raise IndexError(index)
        a = bisect_right(self._until, index)
        before = self._until[a - 1] if a else 0
        return ImagePair(a, self._firsts[a] + index - before, self._same)
