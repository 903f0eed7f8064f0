"""Noise as InsightFace's scripts treat it: a wrong image of FaceScrub gets its person's mean direction.

``n(Σ x + u)``: the sum, not the mean, of the person's features that are no noise, and u, uniform within
±0.001 in each of D numbers, normalised. All in float32, in the order of the list, with a number more that is
0 for these and 100 for noise of MegaFace, as the scripts have it: their output is reproduced to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.features.noises import Noises
from arcterm.megaface.devkit import unreadable
from arcterm.megaface.listing import Listed, shorten

FAR = 100.0
"""The number after the feature of a distractor that is noise."""
_SPREAD = 0.001
_NAMED = 20


@dataclass
class Person:
    """Rows of a person's features that are no noise, and names of the images that are."""

    clean: list[int] = field(default_factory=list)
    noise: list[str] = field(default_factory=list)


def replace(images: Listed, noises: Noises, seed: int) -> dict[str, NDArray[np.float32]]:
    """(D + 1,) float32 for each noisy image, by name, the last number 0.

    Raises `DataError` naming all people who have no other image, and all features that can't be read.
    """
    people = _find_people(images, noises)
    lacking = [f"{name} ({shorten(person.noise, 3)})" for name, person in people.items() if not person.clean]
    if lacking:
        number = f"{len(lacking):,} people have" if len(lacking) > 1 else "a person has"
        raise DataError(
            f"{number} no image that isn't noise: {shorten(lacking, _NAMED)}",
            "give features of all their images, or leave these names out of the list of noise",
        )
    centers = _add_up(images, people)
    draws = np.random.RandomState(seed)
    found = {}
    for name in (name for name in images.names if name in noises):
        random = np.zeros(images.features.width + 1, np.float32)
        random[:-1] = draws.uniform(-_SPREAD, _SPREAD, images.features.width)
        vector = centers[_person(name)] + random
        vector /= np.linalg.norm(vector)
        found[name] = vector
    if odd := [name for name, vector in found.items() if not np.isfinite(vector).all()]:
        raise DataError(
            f"the features of {len(odd):,} people aren't finite, those of {shorten(odd, _NAMED)}",
            "export the features again",
        )
    return found


def _find_people(images: Listed, noises: Noises) -> dict[str, Person]:
    """The people of whom an image is noise."""
    people: dict[str, Person] = {}
    for name in images.names:
        if name in noises:
            people.setdefault(_person(name), Person()).noise.append(name)
    for name, row in zip(images.names, images.rows.tolist(), strict=True):
        if (person := people.get(_person(name))) and row >= 0 and name not in noises:
            person.clean.append(row)
    return people


def _add_up(images: Listed, people: dict[str, Person]) -> dict[str, NDArray[np.float32]]:
    centers: dict[str, NDArray[np.float32]] = {}
    faults: dict[int, str] = {}
    for name, person in people.items():
        center = np.zeros(images.features.width + 1, np.float32)
        # one after the other: a sum over an axis adds in another order, and rounds to other bits
        for feature in images.features.rows(np.array(person.clean), faults):
            center[:-1] += feature
        centers[name] = center
    if faults:
        raise unreadable(list(faults.values()))
    return centers


def _person(name: str) -> str:
    return name.rpartition("/")[0].rpartition("/")[2]


def mark(features: NDArray[np.float32], noisy: Sequence[bool] | NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n, D + 1): features (n, D) and a number after each, 100 where it is noise and else 0."""
    marked = np.zeros((len(features), features.shape[1] + 1), np.float32)
    marked[:, :-1] = features
    marked[:, -1] = np.where(noisy, FAR, 0)
    return marked
