"""The `recordio` data set: a face pack with its verification sets beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import DatasetFacts, Record
from numpy.typing import NDArray

from arcterm.datasets.verification import VerificationSets, pair_counts
from arcterm.errors import DataError
from arcterm.formats.facepack import FacePack
from arcterm.formats.images import decode

# How many records besides the first are looked at before anything is launched.
SAMPLES = 32


class PackedFaces:
    """Records of a face pack by index (see `contracts.FaceDataset`)."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise DataError(f"{directory} is not a directory", "give the directory that holds train.rec")
        self.pack = FacePack(directory)
        self.classes = self.pack.classes
        self.verification = VerificationSets(directory)

    def __len__(self) -> int:
        return len(self.pack)

    def __getitem__(self, index: int) -> Record:
        """Record `index`; raises `DataError` naming its key and byte offset."""
        return self.pack[index]

    def labels(self, progress: Callable[[int, int], None]) -> NDArray[np.int64]:
        """(N,) int64: the label of each record (see `contracts.LabelledDataset`); raises `DataError`."""
        return self.pack.labels(progress)


def open_dataset(path: str | Path) -> PackedFaces:
    """Open the pack in directory `path`; raises `DataError`."""
    return PackedFaces(Path(path))


def inspect(path: str | Path) -> DatasetFacts:
    """Facts of the pack in `path`, a few records and all verification sets read; raises `DataError`."""
    directory = Path(path)
    faces = PackedFaces(directory)
    pack = faces.pack
    for index in sorted({(len(pack) - 1) * n // SAMPLES for n in range(SAMPLES + 1)}):
        record = pack[index]
        decode(record.image, size=pack.image_size, source=f"{directory}: {record.source}")
    verification = pair_counts(directory)
    problems = []
    if not verification:
        problems.append(f"{directory} has no verification set (*.bin): accuracy can't be measured")
    if pack.identities and pack.identities != pack.classes:
        problems.append(
            f"property says {pack.classes} classes and train.idx lists {pack.identities} identities; "
            "if the pack was made from an unsorted list, pack it again"
        )
    return DatasetFacts(
        images=len(pack),
        classes=pack.classes,
        image_size=pack.image_size,
        fingerprint=hashlib.sha256((directory / "train.idx").read_bytes()).hexdigest(),
        verification=verification,
        problems=tuple(problems),
    )
