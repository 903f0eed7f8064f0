"""Pairs that a verification set should not have: of an image with itself, and listed more than once."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple


class OddPairs(NamedTuple):
    """Numbers of pairs: `alone` are of an image with itself, `torn` too, but listed as different.

    `again` and `against` have the number of the first listing too: of the same two images, in either order,
    with the same answer and with the other one.
    """

    alone: list[int]
    torn: list[int]
    again: list[tuple[int, int]]
    against: list[tuple[int, int]]


def find_odd_pairs(images: Sequence[Hashable], same: Sequence[bool]) -> OddPairs:
    """Find odd pairs: `images` are comparable keys of the images, two a pair, `same` (P,) the answers."""
    found = OddPairs([], [], [], [])
    first: dict[tuple[Hashable, Hashable], int] = {}
    for pair, answer in enumerate(same):
        one, other = images[2 * pair], images[2 * pair + 1]
        if one == other:
            (found.alone if answer else found.torn).append(pair)
        before = first.setdefault((one, other), pair)
        before = min(before, first.setdefault((other, one), pair))
        if before != pair:
            (found.again if same[before] == answer else found.against).append((before, pair))
    return found
