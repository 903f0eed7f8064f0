"""Near duplicates: against brute force over all pairs, and copies planted among faces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from arcterm.data.check import likeness
from arcterm.data.check.likeness import MOST_DIFFERENCE, Near, differ, flat, near_duplicates
from arcterm.data.check.survey import thumbnail
from arcterm.formats.images import Pixels, decode, encode_jpeg, resize
from arcterm.progress import unheard

Thumbs = NDArray[np.uint8]


class Faces(NamedTuple):
    images: list[Pixels]
    labels: NDArray[np.int64]
    thumbs: Thumbs


@pytest.fixture(scope="module")
def orl(test_data: Callable[[str], Path]) -> Faces:
    """40 people, 10 images each, no two of which are one picture."""
    folder = test_data("faces/orl")
    files = [folder / f"s{person}" / f"{n}.pgm" for person in range(1, 41) for n in range(1, 11)]
    images = [resize(decode(f.read_bytes(), size=None, source=str(f)), (112, 112)) for f in files]
    return Faces(images, np.repeat(np.arange(40), 10), thumbs(images))


def thumbs(images: list[Pixels]) -> Thumbs:
    return np.stack([thumbnail(image).ravel() for image in images])


def find(all_thumbs: Thumbs, labels: NDArray[np.int64] | None = None) -> Near:
    def may_pair(a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.ones(len(a), bool) if labels is None else labels[a] != labels[b]

    return near_duplicates(all_thumbs, np.arange(len(all_thumbs)), may_pair, unheard)


def smooth(rng: np.random.Generator, count: int) -> Thumbs:
    coarse = rng.integers(0, 255, (count, 5, 5), dtype=np.uint8)
    return np.stack([cv2.resize(each, (16, 16)).ravel() for each in coarse])


def moved(image: Pixels, dx: int, dy: int) -> Pixels:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
    return np.asarray(cv2.warpAffine(image, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE))


def brighter(image: Pixels) -> Pixels:
    return np.clip(image.astype(np.float32) * 1.15 + 10, 0, 255).astype(np.uint8)


PLANTED: list[tuple[str, Callable[[Pixels], Pixels], float]] = [
    ("same", lambda image: image, 1.0),
    ("quality 70", lambda image: decode(encode_jpeg(image, 70), size=None, source=""), 1.0),
    ("brighter", brighter, 1.0),
    ("resized", lambda image: resize(resize(image, (96, 96)), (112, 112)), 1.0),
    ("1 px", lambda image: moved(image, 1, 0), 0.95),
    ("1 px both ways", lambda image: moved(image, 1, 1), 0.88),
    ("2 px", lambda image: moved(image, 0, 2), 0.8),
]


def test_no_two_people_are_one_picture(orl: Faces) -> None:
    assert find(orl.thumbs, orl.labels).pairs.tolist() == []


@pytest.mark.long
def test_nothing_is_nearer_than_brute_force_says(orl: Faces) -> None:
    """All 79,800 pairs: what is found is what is near, and little that is near isn't found."""
    one, other = np.triu_indices(400, 1)
    difference = differ(orl.thumbs[one], orl.thumbs[other])
    strangers = orl.labels[one] != orl.labels[other]
    assert difference[strangers].min() > 2 * MOST_DIFFERENCE
    close = difference <= MOST_DIFFERENCE
    truth = set(zip(one[close].tolist(), other[close].tolist(), strict=True))
    found = {(a, b) for a, b in find(orl.thumbs).pairs.tolist()}
    assert truth and found <= truth
    assert len(found) >= 0.8 * len(truth)


@pytest.mark.parametrize(("name", "change", "least"), PLANTED, ids=[name for name, _, _ in PLANTED])
def test_planted_copies_are_found(
    orl: Faces, name: str, change: Callable[[Pixels], Pixels], least: float
) -> None:
    chosen = range(0, 400, 4)
    copies = thumbs([change(orl.images[n]) for n in chosen])
    labels = np.append(orl.labels, np.full(len(copies), 99))
    near = find(np.concatenate([orl.thumbs, copies]), labels)
    assert near.all
    assert len(near.pairs) == len(near.difference)
    found = {(a, b) for a, b in near.pairs.tolist()}
    wanted = {(n, 400 + at) for at, n in enumerate(chosen)}
    assert len(found & wanted) >= least * len(wanted)
    # Whatever else is like a copy is an image of the same person.
    assert all(orl.labels[a] == orl.labels[chosen[b - 400]] for a, b in found)


def test_candidates_are_those_of_brute_force_and_come_once() -> None:
    """Random codes and copies with up to 14 bits flipped, against every pair looked at."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (300, 8), dtype=np.uint8)
    bits = np.unpackbits(base, axis=1)
    for row, flips in zip(bits, rng.integers(0, 15, 300), strict=True):
        row[rng.permutation(64)[:flips]] ^= 1
    codes = np.concatenate([base, np.packbits(bits, axis=1)])
    found: list[tuple[int, int]] = []
    for number, parts in enumerate(combinations(range(8), 3)):
        for one, other in likeness._alike(codes, number, parts):
            pairs = np.sort(np.stack([one, other], axis=1), axis=1)
            found += [(a, b) for a, b in pairs.tolist()]
    one, other = np.triu_indices(600, 1)
    unlike = codes[one] ^ codes[other]
    few = np.unpackbits(unlike, axis=1).sum(axis=1) <= likeness.MOST_BITS
    wanted = few & ((unlike == 0).sum(axis=1) >= 3)
    assert sorted(found) == list(zip(one[wanted].tolist(), other[wanted].tolist(), strict=True))
    within = np.unpackbits(unlike, axis=1).sum(axis=1) <= 5
    assert within.sum() > 50
    assert not (within & ~wanted).any()


def test_the_search_ends_where_there_is_no_end_of_pairs() -> None:
    rng = np.random.default_rng(0)
    many = np.clip(np.repeat(smooth(rng, 50), 40, axis=0) + rng.normal(0, 1, (2000, 256)), 0, 255)
    near = near_duplicates(
        many.astype(np.uint8),
        np.arange(2000),
        lambda a, b: np.ones(len(a), bool),
        unheard,
        most=1000,
    )
    assert not near.all
    assert len(near.pairs) >= 1000


def test_few_images_are_all_compared() -> None:
    rng = np.random.default_rng(0)
    base = smooth(rng, 3)
    copy = np.clip(base[1] + rng.normal(0, 1, 256), 0, 255).astype(np.uint8)
    assert find(np.concatenate([base, copy[None]])).pairs.tolist() == [[1, 3]]
    assert find(base).pairs.tolist() == []


def test_nothing_to_compare() -> None:
    assert find(np.empty((0, 256), np.uint8)).pairs.shape == (0, 2)
    assert flat(np.stack([np.full(256, 9, np.uint8), np.arange(256, dtype=np.uint8)])).tolist() == [
        True,
        False,
    ]
