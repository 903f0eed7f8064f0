"""The `union` data set: several packs, folders and lists as one, the people of each apart."""

from __future__ import annotations

import filecmp
import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import DatasetFacts, PairSet, Record
from numpy.typing import NDArray

from arcterm.datasets import filters
from arcterm.datasets.filters import FaceSource
from arcterm.datasets.folders import FolderFaces
from arcterm.datasets.listed import ListedFaces
from arcterm.datasets.packs import PackedFaces
from arcterm.datasets.sameness import joined
from arcterm.errors import DataError
from arcterm.progress import Progress


class JoinedSets(Mapping[str, PairSet]):
    """The verification sets of several directories.

    A name that occurs again with the same bytes is the same set; with other bytes it becomes ``NAME@K``,
    where K counts the data sets from 1.
    """

    def __init__(self, parts: Sequence[tuple[Path, Mapping[str, PairSet]]]) -> None:
        self.members: dict[str, tuple[int, str]] = {}
        self._parts = parts
        for number, (directory, sets) in enumerate(parts):
            for name in sets:
                file = directory / f"{name}.bin"
                if any(_same(file, parts[n][0] / f"{own}.bin") for n, own in self._called(name)):
                    continue
                new = name
                while new in self.members:
                    new = f"{new}@{number + 1}"
                self.members[new] = (number, name)

    def _called(self, name: str) -> list[tuple[int, str]]:
        return [member for member in self.members.values() if member[1] == name]

    def __getitem__(self, name: str) -> PairSet:
        number, own = self.members[name]
        return self._parts[number][1][own]

    def __iter__(self) -> Iterator[str]:
        return iter(self.members)

    def __len__(self) -> int:
        return len(self.members)


class JoinedFaces:
    """The records of several data sets in turn; a person's label moves up by the classes before."""

    def __init__(self, places: Sequence[Path], resize: bool) -> None:
        self.places = places
        self.parts: list[FaceSource] = [_part(place, resize) for place in places]
        self.ends = list(accumulate(len(part) for part in self.parts))
        self.offsets = list(accumulate((part.classes for part in self.parts), initial=0))
        self.classes = self.offsets.pop()
        self.verification = JoinedSets(
            [
                (place if place.is_dir() else place.parent, part.verification)
                for place, part in zip(places, self.parts, strict=True)
            ]
        )

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: int) -> Record:
        """Record `index`; raises `DataError` naming its data set."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self.ends, index)
        part = self.parts[number]
        image, label, source = part[index - self.ends[number] + len(part)]
        if isinstance(part, PackedFaces):  # which says the key, not the pack
            source = f"{self.places[number]}: {source}"
        return Record(image, label + self.offsets[number], source)

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the label of each record (see `contracts.LabelledDataset`); raises `DataError`."""
        found = []
        for part, end, offset in zip(self.parts, self.ends, self.offsets, strict=True):
            found.append(part.labels(partial(_report_part, progress, end - len(part), len(self))) + offset)
        return np.concatenate(found)

    def class_of(self, identity: str) -> int | None:
        """The label that `identity` is the number of, in the order of the data sets."""
        return filters.number_of(identity, self.classes)

    def facts(self, progress: Progress) -> DatasetFacts:
        """Facts of all together; raises `DataError` for images of different sizes."""
        facts = [part.facts(progress) for part in self.parts]
        for place, other in zip(self.places, facts, strict=True):
            if other.image_size != facts[0].image_size:
                (h, w), (height, width) = other.image_size, facts[0].image_size
                raise DataError(
                    f"{place} has images of {w}×{h}, {self.places[0]} of {width}×{height}",
                    "pack one of them again with `arcterm data pack SRC DST --resize`",
                )
        sets = {name: (facts[number], own) for name, (number, own) in self.verification.members.items()}
        earlier = "\n".join(part.earlier[0] for part in facts)
        return DatasetFacts(
            images=len(self),
            classes=self.classes,
            image_size=facts[0].image_size,
            fingerprint=joined([part.fingerprint for part in facts]),
            verification={
                name: part.verification[own] for name, (part, own) in sets.items() if own in part.verification
            },
            problems=tuple(dict.fromkeys(problem for part in facts for problem in part.problems)),
            set_aside={
                name: part.set_aside[own]
                for name, (part, own) in sets.items()
                if part.set_aside and own in part.set_aside
            },
            earlier=(hashlib.sha256(earlier.encode()).hexdigest(),),
        )


def open_dataset(*, paths: str, resize: bool, min_images: int, drop: str) -> JoinedFaces | FaceSource:
    """Open the data sets that `paths` names, separated by commas; raises `DataError`."""
    return filters.choose(JoinedFaces(_places(paths), resize), min_images, drop)


def inspect(
    *, paths: str, resize: bool, min_images: int, drop: str, progress: Progress | None = None
) -> DatasetFacts:
    """Facts of all data sets together, each looked at as when alone; raises `DataError`."""
    return filters.inspect(JoinedFaces(_places(paths), resize), min_images, drop, progress)


def _places(paths: str) -> list[Path]:
    places = [Path(text.strip()).expanduser() for text in paths.split(",") if text.strip()]
    if not places:
        raise DataError(
            "a union is of data sets, and none is named", "give their paths with commas between: DIR,DIR"
        )
    for number, place in enumerate(places):
        if not place.exists():
            raise DataError(f"{place} is not there", "correct the path; no path among several has a comma")
        if any(place.samefile(other) for other in places[:number]):
            raise DataError(f"{place} is named twice", "name each data set once")
    return places


def _part(place: Path, resize: bool) -> FaceSource:
    """A pack if there is a train.rec, else a folder of people; a file is a list."""
    if place.is_dir():
        packed = (place / "train.rec").exists() or (place / "train.idx").exists()
        return PackedFaces(place, resize) if packed else FolderFaces(place, resize)
    return ListedFaces(place, None, resize)


def _report_part(progress: Progress, before: int, total: int, done: int, _: int) -> None:
    """Report `done` of one part as progress of all, with `before` in the parts before it."""
    progress(before + done, total)


def _same(one: Path, other: Path) -> bool:
    """Return whether two files have the same bytes; False if one can't be read."""
    try:
        return one.samefile(other) or filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
