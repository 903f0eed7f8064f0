"""The `recordio` data set: a face pack with its verification sets beside it."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
from arcterm_registry.contracts import DatasetFacts, Record
from numpy.typing import NDArray

from arcterm.datasets import filters
from arcterm.datasets.filters import Progress, Source
from arcterm.datasets.fitting import fit, look, samples
from arcterm.datasets.verification import VerificationSets, pair_counts
from arcterm.errors import DataError
from arcterm.formats.facepack import FacePack
from arcterm.formats.labelnames import read_names


class PackedFaces:
    """Records of a face pack by index (see `contracts.FaceDataset`).

    With `resize` an image of another size than the pack's is decoded and stretched to it.
    """

    def __init__(self, directory: Path, resize: bool = False) -> None:
        if not directory.is_dir():
            raise DataError(f"{directory} is not a directory", "give the directory that holds train.rec")
        self.directory, self.resize = directory, resize
        self.pack = FacePack(directory)
        self.classes = self.pack.classes
        self.verification = VerificationSets(directory)

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, index: int) -> Record:
        """Record `index`; raises `DataError` naming its key and byte offset."""
        record = self.pack[index]
        if not self.resize:
            return record
        source = f"{self.directory}: {record.source}"
        image = fit(record.image, self.pack.image_size, resize=True, source=source)
        return record._replace(image=image)

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the label of each record (see `contracts.LabelledDataset`); raises `DataError`."""
        return self.pack.labels(progress)

    def class_of(self, identity: str) -> int | None:
        """The label that `identity` is the number of, or else the one that ``labels.txt`` calls so.

        Raises `DataError` if several are called so.
        """
        number = filters.number_of(identity, self.classes)
        if number is not None:
            return number
        labels = self._labels_of.get(identity, [])
        if len(labels) > 1:
            raise DataError(
                f"{self.directory}: {len(labels)} people are called {identity[:60]!a}, "
                f"labels {labels[0]} and {labels[1]} among them",
                "name them by label number",
            )
        return labels[0] if labels else None

    @cached_property
    def _labels_of(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for label, name in enumerate(read_names(self.directory, self.classes)):
            if name:
                found.setdefault(name, []).append(label)
        return found

    def facts(self) -> DatasetFacts:
        """Facts of the pack, a few records and all verification sets read; raises `DataError`."""
        pack = self.pack
        problems = look(self, samples(len(pack)), pack.image_size)
        if pack.identities and pack.identities != pack.classes:
            problems.append(
                f"property says {pack.classes} classes and train.idx lists {pack.identities} identities; "
                "if the pack was made from an unsorted list, pack it again"
            )
        return DatasetFacts(
            images=len(pack),
            classes=pack.classes,
            image_size=pack.image_size,
            fingerprint=hashlib.sha256((self.directory / "train.idx").read_bytes()).hexdigest(),
            verification=pair_counts(self.directory),
            problems=tuple(problems),
        )


@overload
def open_dataset(path: str | Path, *, resize: bool = False) -> PackedFaces: ...


@overload
def open_dataset(path: str | Path, *, resize: bool = False, min_images: int, drop: str) -> Source: ...


def open_dataset(
    path: str | Path, *, resize: bool = False, min_images: int = 0, drop: str = ""
) -> PackedFaces | Source:
    """Open the pack in directory `path`; raises `DataError`."""
    return filters.choose(PackedFaces(Path(path), resize), min_images, drop)


def inspect(
    path: str | Path,
    *,
    resize: bool = False,
    min_images: int = 0,
    drop: str = "",
    progress: Progress | None = None,
) -> DatasetFacts:
    """Facts of the pack in `path`, a few records and all verification sets read; raises `DataError`."""
    return filters.inspect(PackedFaces(Path(path), resize), min_images, drop, progress)
