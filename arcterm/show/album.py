"""The people and pairs of a data set, with a few images of each, for viewing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from arcterm_registry.contracts import FaceDataset, LabelledDataset, PairSet
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.images import Pixels, decode
from arcterm.formats.labelnames import read_names
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.inputs import sources
from arcterm.inputs.census import count_people
from arcterm.inputs.datafacts import DataFacts, PairFacts
from arcterm.progress import Progress
from arcterm.ranges import numbers_below
from arcterm.show.pairscores import ORDERS, Distances, Order, arrange

FIRST_PEOPLE = 6


class ShownImage(NamedTuple):
    """An image: its pixels and where it lies; in place of pixels a `problem` if it can't be read."""

    pixels: Pixels | None
    source: str
    problem: str = ""


class ShownPerson(NamedTuple):
    """A class, its name if it has one, the `total` of its images, and the first of them."""

    number: int
    name: str
    total: int
    images: list[ShownImage]


class ShownPair(NamedTuple):
    """Pair `number` of a set; its `distance` where it is known, squared L2."""

    number: int
    same: bool
    a: ShownImage
    b: ShownImage
    distance: float | None = None


class ShownSet(NamedTuple):
    """A verification set: how many `pairs` it has, how many of them `same`, and some of both kinds.

    `order` says in which order they are.
    """

    name: str
    pairs: int
    same: int
    shown: list[ShownPair]
    order: str = ""


class Album:
    """A data set, or a .bin alone (`faces` None), opened for viewing.

    `unreadable` counts the records that can't be read, once `people` was iterated.
    """

    def __init__(
        self,
        source: str,
        faces: FaceDataset | None,
        verification: Mapping[str, PairSet],
        directory: Path | None,
        progress: Progress,
    ) -> None:
        self.source = source
        self._faces = faces
        self._verification = verification
        self._names = read_names(directory, faces.classes) if directory and faces else []
        self._progress = progress
        self.unreadable = 0

    @property
    def classes(self) -> int:
        """Number of people; 0 of a .bin."""
        return self._faces.classes if self._faces else 0

    def people(self, wanted: str, images: int) -> Iterator[ShownPerson]:
        """The classes `wanted`, the first few if empty, with at most `images` each; raises `DataError`."""
        faces = self._faces
        assert faces is not None
        numbers: list[int] | range = range(min(FIRST_PEOPLE, faces.classes))
        if wanted:
            numbers = numbers_below(faces.classes, wanted, f"classes of {self.source}")
        labels = _read_labels(faces, self._progress)
        self.unreadable = int((labels < 0).sum())
        for number in numbers:
            indexes = np.flatnonzero(labels == number)
            shown = [_read_image(faces, int(index)) for index in indexes[:images]]
            yield ShownPerson(number, self._name(number, shown), len(indexes), shown)

    def sets(
        self, pairs: int, order: Order = "file", distances: Mapping[str, Distances] | None = None
    ) -> Iterator[ShownSet]:
        """Every verification set with `pairs` of its pairs; raises `DataError` if there is none.

        They are in an `order` by `distances`; those of a set without distances in the file's.
        """
        if not self._verification:
            raise DataError(
                f"{self.source} has no verification set", "`arcterm data bin SRC DST.bin` makes one"
            )
        for name in self._verification:
            held = self._verification[name]
            same = np.asarray(held.same)
            known = (distances or {}).get(name)
            if known is not None and len(known) != len(same):
                known = None  # of other pairs
            if order == "file" or known is None:
                numbers = _select_pairs(same, pairs)
            else:
                numbers = arrange(same, known, order, pairs)
            shown = []
            for number in numbers:
                places = (2 * number, 2 * number + 1)
                a, b = (_decode_image(held.images[place], f"{name} image {place}") for place in places)
                distance = None if known is None else float(known[number])
                shown.append(ShownPair(number, bool(same[number]), a, b, distance))
            said = ORDERS[order] if known is not None else "its pairs have no scores"
            yield ShownSet(name, len(same), int(same.sum()), shown, "" if order == "file" else said)

    def facts(self) -> DataFacts:
        """Counts of images, people and pairs, with the census; raises `DataError`."""
        labels = _read_labels(self._faces, self._progress) if self._faces else np.empty(0, np.int64)
        self.unreadable = int((labels < 0).sum())
        return DataFacts(
            source=self.source,
            by="reading",
            time=time.time(),
            images=len(labels),
            classes=self.classes,
            unreadable=self.unreadable,
            image_size=self._size(),
            census=count_people(labels)[0] if self._faces else None,
            sets=[self._set_facts(name) for name in self._verification],
        )

    def _set_facts(self, name: str) -> PairFacts:
        try:
            same = np.asarray(self._verification[name].same)
        except DataError as error:
            return PairFacts(name=name, problem=error.message)
        return PairFacts(name=name, pairs=len(same), same=int(same.sum()))

    def _size(self) -> str:
        """Width × height of the first image; empty if it can't be read, or there is none."""
        if not self._faces or not len(self._faces):
            return ""
        pixels = _read_image(self._faces, 0).pixels
        return "" if pixels is None else f"{pixels.shape[1]}×{pixels.shape[0]}"

    def facts_of_people(self, wanted: str, images: int) -> dict[str, Any]:
        """`people` as JSON values, without pixels."""
        assert self._faces is not None
        people = [
            {
                "class": person.number,
                "name": person.name,
                "count": person.total,
                "sources": [image.source for image in person.images],
                "problems": problems_of(person.images),
            }
            for person in self.people(wanted, images)
        ]
        return {
            "source": self.source,
            "classes": self._faces.classes,
            "images": len(self._faces),
            "unreadable": self.unreadable,
            "people": people,
        }

    def facts_of_sets(self, pairs: int) -> dict[str, Any]:
        """`sets` as JSON values, without pixels."""
        return {
            "source": self.source,
            "sets": [
                {
                    "name": held.name,
                    "pairs": held.pairs,
                    "same": held.same,
                    "shown": [
                        {"pair": pair.number, "same": pair.same, "problems": problems_of((pair.a, pair.b))}
                        for pair in held.shown
                    ],
                }
                for held in self.sets(pairs)
            ],
        }

    def _name(self, number: int, shown: list[ShownImage]) -> str:
        """The class's name in the pack, or of the folder that holds its images."""
        if self._names:
            return self._names[number]
        path = Path(shown[0].source) if shown else Path()
        return path.parent.name if path.is_file() else ""


def problems_of(images: Iterable[ShownImage]) -> list[str]:
    """Why some of the images can't be read, a sentence each."""
    return [image.problem for image in images if image.problem]


def open_album(source: str, progress: Progress) -> Album:
    """Open a .bin, or a data set by its path or name.

    Raises `ArctermError` or `PluginError` if it is neither.
    """
    path = Path(source).expanduser()
    if path.suffix == ".bin":
        pairs = read_pairs(path)
        return Album(source, None, {pairs.name: pairs}, None, progress)
    found = sources.find(source)
    if found.declared.option("resize"):  # images are shown small, whatever their size
        found = replace(found, options={**found.options, "resize": True})
    if found.path is None:
        found.inspect(progress)  # makes it, if it must first be made
    faces = found.open()
    return Album(source, faces, faces.verification, found.path, progress)


def _read_labels(faces: FaceDataset, progress: Progress) -> NDArray[np.int64]:
    """(N,) int64: the label of each record, -1 for one that can't be read.

    Every record is read if the data set has no labels of its own, or fails at one.
    """
    if isinstance(faces, LabelledDataset):
        with contextlib.suppress(DataError):  # the way below finds the others
            return np.asarray(faces.labels(progress), np.int64)
    found = np.full(len(faces), -1, np.int64)
    for index in range(len(faces)):
        with contextlib.suppress(DataError):
            found[index] = faces[index].label
        progress(index + 1, len(faces))
    return found


def _read_image(faces: FaceDataset, index: int) -> ShownImage:
    try:
        record = faces[index]
    except DataError as error:
        return ShownImage(None, "", error.message)
    return _decode_image(record.image, record.source)


def _decode_image(image: Any, source: str) -> ShownImage:
    try:
        return ShownImage(decode(image, size=None, source=source), source)
    except DataError as error:
        return ShownImage(None, source, error.message)


def _select_pairs(same: NDArray[np.bool_], count: int) -> list[int]:
    """The first `count` pairs, half of each kind where there are as many, in the file's order."""
    kinds = np.flatnonzero(same), np.flatnonzero(~same)
    few = min(len(kinds[1]), count // 2)
    first = kinds[0][: count - few]
    return sorted([*first.tolist(), *kinds[1][: count - len(first)].tolist()])
