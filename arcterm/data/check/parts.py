"""Parts of a data set as a check reads them: records of a pack, images of people, a list or a ``.bin``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from arcterm_registry.contracts import FaceDataset

from arcterm.files import Stamp, stamp
from arcterm.formats.images import read_file
from arcterm.formats.pairs.binfile import PairBin
from arcterm.formats.people import list_people
from arcterm.inputs import sources

if TYPE_CHECKING:
    from arcterm_registry.contracts import Image

STANDARD = (112, 112)

Size = tuple[int, int]


class Item(NamedTuple):
    """An item: its image, None for a record that has none, its label and its place in words."""

    image: Image | None
    label: float
    source: str


class DataPart(Protocol):
    """Items by number; a broken one raises `DataError` and is no reason to stop.

    `size` is the (height, width) that images must have, if that is known. `state` changes when the files do.
    """

    name: str
    size: Size | None

    def __len__(self) -> int: ...

    def look(self, number: int) -> Item:
        """Item `number`; called from several threads."""

    def state(self) -> Stamp:
        """Size and time of the files, or another mark of them, compared on resume."""


class FolderPart:
    """A folder of people: labels in natural order of their names. Raises `DataError`."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, path.name
        self.size: Size | None = STANDARD
        found = list_people(path)
        self.empty = found.empty
        self.people = [person.name for person in found.people]
        self.files = [image for person in found.people for image in person.images]
        counts = [len(person.images) for person in found.people]
        self._labels = np.repeat(np.arange(len(counts)), counts)

    def __len__(self) -> int:
        return len(self.files)

    def look(self, number: int) -> Item:
        file = self.files[number]
        return Item(read_file(file), float(self._labels[number]), str(file))

    def state(self) -> Stamp:
        return [[str(self.path), len(self.files)]]


@runtime_checkable
class Marked(Protocol):
    """A data set whose images come with landmarks."""

    def wrong_landmarks(self, indices: list[int]) -> list[str]:
        """Sentences about landmarks of those images that can't be right."""


class ListPart:
    """A list of images, opened as training opens it. Raises `DataError`."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.size: Size | None = STANDARD
        self.faces: FaceDataset = sources.find(str(path)).open()
        self._state = stamp([path])

    def __len__(self) -> int:
        return len(self.faces)

    def look(self, number: int) -> Item:
        record = self.faces[number]
        return Item(record.image, record.label, record.source)

    def state(self) -> Stamp:
        return self._state


class PairsPart:
    """The images of a verification set, each once however many pairs it is in; they have no labels.

    `sides` (2P,) are the numbers of the images of the pairs, two a pair.
    """

    def __init__(self, path: Path, pairs: PairBin, size: Size | None) -> None:
        self.name, self.size, self.pairs = path.name, size, pairs
        self._state = stamp([path])
        self._first: list[int] = []
        known: dict[bytes, int] = {}
        self.sides: list[int] = []
        for place, image in enumerate(pairs.images):
            number = known.setdefault(hashlib.blake2b(image, digest_size=16).digest(), len(self._first))
            self._first += [place] * (number == len(self._first))
            self.sides.append(number)

    def __len__(self) -> int:
        return len(self._first)

    def look(self, number: int) -> Item:
        return Item(self.pairs.images[self._first[number]], -1.0, self.where(number))

    def where(self, number: int) -> str:
        place = self._first[number]
        return f"{self.name} image {place} (pair {place // 2})"

    def state(self) -> Stamp:
        return self._state
