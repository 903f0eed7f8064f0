"""The `lst` data set: images that a list names, aligned or with landmarks, and *.bin files beside it."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

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
from arcterm.faces import similarity
from arcterm.faces.landmarks import Fault, judge
from arcterm.formats.images import decode, read_file
from arcterm.formats.lists import ImageList, ListedImage
from arcterm.progress import Progress

if TYPE_CHECKING:
    from arcterm_registry.contracts import Image

_SIZES = 1 << 17
"""Lines whose landmarks and file's size are part of the fingerprint, evenly from the first to the last."""


class ListedFaces:
    """The lines of a list by index (see `contracts.FaceDataset`), its labels numbered without gaps.

    Aligned images are given as their files are; with `resize` those of another size than 112×112 are
    stretched. Others are brought in place by their landmarks or cut out by their box.
    """

    def __init__(self, path: Path, root: Path | None, resize: bool) -> None:
        self.list, self.resize = ImageList(path, root), resize
        self.people = np.unique(self.list.labels)
        self.classes = len(self.people)
        self.gaps = int(self.people[-1]) + 1 - self.classes
        self._labels = np.searchsorted(self.people, self.list.labels) if self.gaps else self.list.labels
        self.verification = VerificationSets(path.parent)

    def __len__(self) -> int:
        return len(self.list)

    def __getitem__(self, index: int) -> Record:
        """Line `index`: its file's bytes or uint8 RGB (112, 112, 3); raises `DataError` naming the line."""
        line = self.list[index]
        source = f"{line.path} ({self.list.path.name} line {line.line})"
        return Record(self._image(line, source), int(self._labels[index]), source)

    def _image(self, line: ListedImage, source: str) -> Image:
        data = read_file(line.path, source)
        if line.aligned:
            return fit(data, IMAGE_SIZE, resize=True, source=source) if self.resize else data
        if line.landmarks is not None:
            pixels = decode(data, size=None, source=source)
            return similarity.warp(pixels, line.landmarks, IMAGE_SIZE, source)
        if line.box is not None:
            return similarity.crop(
                decode(data, size=None, source=source), line.box, IMAGE_SIZE, source=source
            )
        raise DataError(
            f"{source} is not aligned, and the list has neither landmarks nor a box of it",
            "make the line's first field 1 if the image is aligned, else take the line out",
        )

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the label of each line, without gaps (see `contracts.LabelledDataset`)."""
        return self._labels

    def class_of(self, identity: str) -> int | None:
        """The class of the people whose label in the list is the number `identity`."""
        label = filters.number_of(identity, int(self.people[-1]) + 1)
        if label is None:
            return None
        place = int(np.searchsorted(self.people, label))
        return place if self.people[place] == label else None

    def facts(self, progress: Progress) -> DatasetFacts:
        """Facts of the list, some images and all verification sets read; raises `DataError`."""
        bare = np.flatnonzero(~self.list.aligned & (self.list.fields == 3))
        if len(bare):  # refused, and said why
            self[int(bare[0])]
        problems = look(self, samples(len(self)), IMAGE_SIZE)
        problems += self.wrong_landmarks(samples(len(self)))
        if self.gaps:
            problems.append(
                f"the labels of {self.list.path} go up to {self.people[-1]} and {self.gaps} of them have no "
                f"image; they are renumbered 0 to {self.classes - 1}"
            )
        sets = look_at_sets(self.verification, IMAGE_SIZE, progress)
        with self.list.path.open("rb") as file:
            earlier = hashlib.file_digest(file, "sha256").hexdigest()
        return sets.facts(self, IMAGE_SIZE, self._fingerprint(sets.digest), earlier, problems)

    def wrong_landmarks(self, indices: list[int]) -> list[str]:
        """Sentences about landmarks of those lines that can't be what the list says they are."""
        looked, wrong = 0, Counter[Fault]()
        for line in map(self.list.__getitem__, indices):
            if line.aligned or line.landmarks is None:
                continue
            try:
                pixels = decode(read_file(line.path), size=None, source=str(line.path))
            except DataError:  # named when the record is read
                continue
            looked += 1
            problem = judge(line.landmarks, line.box, (pixels.shape[0], pixels.shape[1]))
            wrong.update([problem] if problem else [])
        return [
            f"the landmarks of {count} of {looked} lines looked at {problem.words}: {problem.hint}"
            for problem, count in wrong.most_common()
        ]

    def _fingerprint(self, sets: str) -> str:
        """Of labels, what is known of alignment, and sizes, places and contents of a sample of images.

        Where the list says that its images lie is no part of it.
        """
        made = TrainDigest("list")
        made.add_numbers("labels", self.list.labels)
        made.add("aligned", self.list.aligned.tobytes())
        made.add("fields", self.list.fields.tobytes())
        lines = [self.list[int(index)] for index in spread(len(self), _SIZES)]
        made.add_numbers("sizes", file_sizes(line.path for line in lines))
        for line in lines:
            landmarks = b"" if line.landmarks is None else line.landmarks.astype("<f8").tobytes()
            made.add("place", f"{line.box}".encode() + landmarks)
        for index in spread(len(self), SAMPLE):
            made.add("image", file_start(self.list[int(index)].path))
        return made.fingerprint(sets)


def open_dataset(
    path: str | Path, *, root: str, resize: bool, min_images: int, drop: str
) -> ListedFaces | FaceSource:
    return filters.choose(_open(path, root, resize), min_images, drop)


def inspect(
    path: str | Path, *, root: str, resize: bool, min_images: int, drop: str, progress: Progress | None = None
) -> DatasetFacts:
    """Facts of the list `path`, a few images and every .bin beside it read; raises `DataError`."""
    return filters.inspect(_open(path, root, resize), min_images, drop, progress)


def _open(path: str | Path, root: str, resize: bool) -> ListedFaces:
    return ListedFaces(Path(path), Path(root).expanduser() if root else None, resize)
