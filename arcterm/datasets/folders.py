"""The `folder` data set: a directory per person, and verification sets (*.bin) beside them."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import DatasetFacts, Record
from numpy.typing import NDArray

from arcterm.datasets.verification import VerificationSets, pair_counts
from arcterm.errors import DataError
from arcterm.formats import images as codec
from arcterm.formats.people import find_people

IMAGE_SIZE = (112, 112)


class FolderFaces:
    """Image files by index, person by person in natural order (see `contracts.FaceDataset`).

    Images are read and decoded when asked for; with `resize` those of another size are stretched to 112×112.
    """

    def __init__(self, folder: Path, resize: bool) -> None:
        people, self.ignored = find_people(folder)
        if len(people) < 2:
            raise DataError(f"{folder} has one person in it", "training takes two people or more")
        self.resize = resize
        self.classes = len(people)
        self.files = [path for person in people for path in person.images]
        self.verification = VerificationSets(folder)
        self.ends = list(accumulate(len(person.images) for person in people))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Record:
        """Pixels of image `index`, uint8 RGB (112, 112, 3); raises `DataError` naming its file."""
        if not 0 <= index < len(self.files):
            raise IndexError(index)
        path = self.files[index]
        size = None if self.resize else IMAGE_SIZE
        pixels = codec.decode(codec.read_file(path), size=size, source=str(path))
        if pixels.shape[:2] != IMAGE_SIZE:
            pixels = codec.resize(pixels, IMAGE_SIZE)
        return Record(pixels, bisect_right(self.ends, index), str(path))

    def labels(self, progress: Callable[[int, int], None]) -> NDArray[np.int64]:
        """(N,) int64: the label of each image, from the listing (see `contracts.LabelledDataset`)."""
        return np.repeat(np.arange(self.classes), np.diff(self.ends, prepend=0))


def open_dataset(path: str | Path, *, resize: bool = False) -> FolderFaces:
    """Open the folder `path`; raises `DataError`."""
    return FolderFaces(Path(path), resize)


def inspect(path: str | Path, *, resize: bool = False) -> DatasetFacts:
    """Facts of the folder `path`, one image of each person and every .bin read; raises `DataError`."""
    folder = Path(path)
    faces = FolderFaces(folder, resize)
    for end in faces.ends:
        faces[end - 1]
    verification = pair_counts(folder)
    problems = []
    if not verification:
        problems.append(f"{folder} has no verification set (*.bin): accuracy can't be measured")
    ignored = faces.ignored - len(verification)
    if ignored:
        problems.append(f"{folder} has {ignored} files that aren't images of anybody; they are passed over")
    return DatasetFacts(
        images=len(faces),
        classes=faces.classes,
        image_size=IMAGE_SIZE,
        fingerprint=_fingerprint(folder, faces.files),
        verification=verification,
        problems=tuple(problems),
    )


def _fingerprint(folder: Path, files: list[Path]) -> str:
    """Hex digest of the files' names and sizes."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(os.fsencode(file.relative_to(folder)) + b"\0%d\n" % file.stat().st_size)
    return digest.hexdigest()
