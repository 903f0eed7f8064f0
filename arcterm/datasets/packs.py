"""The `recordio` data set: a face pack with its verification sets beside it."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import DatasetFacts, Record
from numpy.typing import NDArray

from arcterm.datasets import filters, packdigest
from arcterm.datasets.filters import FaceSource
from arcterm.datasets.fitting import fit, look, samples
from arcterm.datasets.packdigest import PackDigest
from arcterm.datasets.verification import VerificationSets
from arcterm.datasets.verification import look as look_at_sets
from arcterm.errors import DataError
from arcterm.formats.labelnames import read_names
from arcterm.formats.recordio.facepack import FacePack
from arcterm.progress import Progress


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

    def facts(self, progress: Progress) -> DatasetFacts:
        """Facts of the pack, some records and all verification sets read; raises `DataError`."""
        pack = self.pack
        digest = packdigest.digest(pack)
        sets = look_at_sets(self.verification, pack.image_size, progress)
        problems = [
            *look(self, samples(len(pack)), pack.image_size),
            *filter(None, [pack.header_problem, _too_many(pack, digest)]),
        ]
        earlier = hashlib.sha256((self.directory / "train.idx").read_bytes()).hexdigest()
        fingerprint = digest.train.fingerprint(sets.digest)
        return sets.facts(self, pack.image_size, fingerprint, earlier, problems)


def _too_many(pack: FacePack, digest: PackDigest) -> str:
    """A sentence where ``property`` counts other people than the records do; empty otherwise."""
    said = f"property says {pack.classes} classes and"
    if pack.identities and pack.identities != pack.classes:
        lacking = pack.classes - pack.identities
        taken = f", {lacking} of them without an image" if lacking > 0 else ""
        return (
            f"{said} train.idx lists {pack.identities} identities: {pack.classes} are taken{taken}; "
            "if the pack was made from an unsorted list, pack it again"
        )
    found = np.unique(digest.labels[(digest.labels >= 0) & (digest.labels < pack.classes)])
    if digest.complete and len(found) < pack.classes:
        lacking = pack.classes - len(found)
        return (
            f"{said} the records have labels of {len(found)}: {pack.classes} are taken, "
            f"{lacking} of them without an image"
        )
    if not digest.complete and len(found) and found[-1] + 1 < pack.classes:
        return (
            f"{said} the largest label of {len(digest.labels)} records looked at is {found[-1]:.0f}: "
            f"{pack.classes} are taken"
        )
    return ""


def open_dataset(path: str | Path, *, resize: bool, min_images: int, drop: str) -> PackedFaces | FaceSource:
    return filters.choose(PackedFaces(Path(path), resize), min_images, drop)


def inspect(
    path: str | Path, *, resize: bool, min_images: int, drop: str, progress: Progress | None = None
) -> DatasetFacts:
    """Facts of the pack in `path`, a few records and all verification sets read; raises `DataError`."""
    return filters.inspect(PackedFaces(Path(path), resize), min_images, drop, progress)
