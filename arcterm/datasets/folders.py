"""The `folder` data set: a directory per person, and verification sets (*.bin) beside them."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import DatasetFacts, Record
from numpy.typing import NDArray

from arcterm.datasets import filters
from arcterm.datasets.filters import FaceSource
from arcterm.datasets.fitting import IMAGE_SIZE, fit, look, samples
from arcterm.datasets.sameness import SAMPLE, TrainDigest, file_sizes, file_start, spread
from arcterm.datasets.verification import VerificationSets
from arcterm.datasets.verification import look as look_at_sets
from arcterm.errors import DataError
from arcterm.formats import images as codec
from arcterm.formats.people import find_people
from arcterm.progress import Progress

_NAMED = 5
_LOOKED = 1000
"""People of whom an image is looked at before a launch."""


class FolderFaces:
    """Image files by index, person by person in natural order (see `contracts.FaceDataset`).

    A JPEG of 112×112 is given as it is, another image as pixels; with `resize` those of another size are
    stretched to 112×112.
    """

    def __init__(self, folder: Path, resize: bool) -> None:
        found = find_people(folder)
        people, self.ignored = found.people, found.ignored + found.junk
        self.hollow = [*found.hollow, *found.pointers]
        if len(people) < 2:
            raise DataError(f"{folder} has one person in it", "training takes two people or more")
        self.folder, self.resize = folder, resize
        self.classes = len(people)
        self.names = [person.name for person in people]
        self.files = [path for person in people for path in person.images]
        self.verification = VerificationSets(folder)
        self.ends = list(accumulate(len(person.images) for person in people))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        """Image `index`, a JPEG or uint8 RGB (112, 112, 3); raises `DataError` naming its file."""
        if not 0 <= index < len(self.files):
            raise IndexError(index)
        path = self.files[index]
        image = fit(codec.read_file(path), IMAGE_SIZE, resize=self.resize, source=str(path))
        return Record(image, bisect_right(self.ends, index), str(path))

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the label of each image, from the listing (see `contracts.LabelledDataset`)."""
        return np.repeat(np.arange(self.classes), np.diff(self.ends, prepend=0))

    def class_of(self, identity: str) -> int | None:
        return self._label_of.get(identity)

    @cached_property
    def _label_of(self) -> dict[str, int]:
        return {name: label for label, name in enumerate(self.names)}

    def facts(self, progress: Progress) -> DatasetFacts:
        """Facts of the folder, an image each of many people and every .bin read; raises `DataError`."""
        people = samples(self.classes, _LOOKED)
        problems = look(self, [self.ends[person] - 1 for person in people], IMAGE_SIZE)
        sets = look_at_sets(self.verification, IMAGE_SIZE, progress)
        ignored = self.ignored - len(self.verification)
        if self.hollow:
            shown = ", ".join(map(str, self.hollow[:_NAMED])) + (", …" if len(self.hollow) > _NAMED else "")
            problems.append(
                f"{len(self.hollow)} image files hold no image, being empty or Git LFS pointers, and "
                f"training skips such: {shown}; `arcterm data check {self.folder}` names them"
            )
        if ignored:
            problems.append(
                f"{self.folder} has {ignored} files that aren't images of anybody; they are passed over"
            )
        fingerprint, earlier = self._fingerprints(sets.digest)
        return sets.facts(self, IMAGE_SIZE, fingerprint, earlier, problems)

    def _fingerprints(self, sets: str) -> tuple[str, str]:
        """Of names, sizes and a sample of contents; and as version 0.1.0 had it, of names and sizes."""
        made, earlier = TrainDigest("folder"), hashlib.sha256()
        for file, size in zip(self.files, file_sizes(self.files).tolist(), strict=True):
            line = os.fsencode(file.relative_to(self.folder)) + b"\0%d\n" % size
            made.add("file", line)
            earlier.update(line)
        for index in spread(len(self), SAMPLE):
            made.add("image", file_start(self.files[index]))
        return made.fingerprint(sets), earlier.hexdigest()


def open_dataset(path: str | Path, *, resize: bool, min_images: int, drop: str) -> FolderFaces | FaceSource:
    return filters.choose(FolderFaces(Path(path), resize), min_images, drop)


def inspect(
    path: str | Path, *, resize: bool, min_images: int, drop: str, progress: Progress | None = None
) -> DatasetFacts:
    """Facts of the folder `path`, one image of each person and every .bin read; raises `DataError`."""
    return filters.inspect(FolderFaces(Path(path), resize), min_images, drop, progress)
