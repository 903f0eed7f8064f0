"""The `demo` data set: a face pack of drawn people, made once, in the user's cache."""

from __future__ import annotations

import hashlib
from pathlib import Path

from arcterm_registry.contracts import DatasetFacts
from numpy.random import Generator

from arcterm import cache
from arcterm.datasets import filters, packs
from arcterm.datasets.drawn import traits
from arcterm.datasets.drawn.camera import picture
from arcterm.errors import DataError
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.progress import Progress

# Part of the cache's name: another number where the pictures become other pictures.
VERSION = 1

# Verification sets and how far heads turn in them, as a share of how far they turn in training.
SETS = {"demo_frontal": 0.35, "demo_pose": 1.0}
STRANGERS, STRANGER_IMAGES, FOLDS = 100, 4, 10
# Pairs for each person of a fold: how many people further the other one is, and which pictures of the two.
COUPLES = ((0, 0, 1), (0, 2, 3), (1, 0, 2), (3, 1, 3))
_FIRST_STRANGER = 1_000_000


def open_dataset(*, identities: int, images: int, seed: int) -> packs.PackedFaces:
    """Open the drawn pack, drawing it first if it isn't in the cache; raises `DataError`."""
    return packs.PackedFaces(build(identities, images, seed))


def inspect(*, identities: int, images: int, seed: int, progress: Progress | None = None) -> DatasetFacts:
    """Facts of the drawn pack, which is drawn if it isn't in the cache; raises `DataError`."""
    return filters.inspect(packs.PackedFaces(build(identities, images, seed, progress)), 0, "")


def cached(identities: int, images: int, seed: int) -> Path:
    """Return the directory of the pack of these options, made or not."""
    options = f"{VERSION} {identities} {images} {seed}"
    digest = hashlib.sha256(options.encode()).hexdigest()[:12]
    return cache.directory() / f"demo-{VERSION}-{digest}"


def build(identities: int, images: int, seed: int, progress: Progress | None = None) -> Path:
    """Draw the pack unless it is there, and return its directory; the same options give the same bytes.

    `progress` is called with pictures done and in all. Two processes may draw at once: the first to end wins.
    Raises `DataError` if the cache can't be written.
    """
    place = cached(identities, images, seed)
    if place.is_dir():
        return place
    studio = _Studio(seed, identities * images + len(SETS) * STRANGERS * STRANGER_IMAGES, progress)
    try:
        with write_pack(place) as pack:
            for label in range(identities):
                for jpeg in studio.pictures(label, images, pose=1.0):
                    pack.add(jpeg, label)
            for number, (name, pose) in enumerate(SETS.items()):
                _draw_set(pack.directory / f"{name}.bin", studio, number * STRANGER_IMAGES, pose)
    except DataError:
        if not place.is_dir():
            raise
    return place


class _Studio:
    """Takes pictures of drawn people and counts them."""

    def __init__(self, seed: int, total: int, progress: Progress | None) -> None:
        self.seed, self.total, self.progress, self.done = seed, total, progress, 0

    def pictures(self, person: int, count: int, pose: float, first: int = 0) -> list[bytes]:
        """JPEG files of `person`: pictures `first` and following."""
        face = traits.person(self.seed, person)
        return [
            self._picture(face, traits.generator(self.seed, person, first + n), pose) for n in range(count)
        ]

    def _picture(self, face: traits.Numbers, rng: Generator, pose: float) -> bytes:
        jpeg = encode_jpeg(picture(face, traits.circumstances(rng, pose), rng))
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
        return jpeg


def _draw_set(path: Path, studio: _Studio, first: int, pose: float) -> None:
    """Pairs of people who aren't trained on, in ten folds; each person is in one fold only."""
    crowd = [studio.pictures(_FIRST_STRANGER + n, STRANGER_IMAGES, pose, first) for n in range(STRANGERS)]
    images: list[bytes] = []
    same: list[bool] = []
    size = STRANGERS // FOLDS
    for start in range(0, STRANGERS, size):
        people = crowd[start : start + size]
        for step, one, other in COUPLES:
            for n in range(size):
                images += [people[n][one], people[(n + step) % size][other]]
                same.append(step == 0)
    write_pairs(path, images, same)
