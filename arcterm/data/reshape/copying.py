"""Images of face packs, person by person and byte for byte, into other packs."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from arcterm_registry.contracts import Record
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.labelnames import read_names
from arcterm.formats.pairs.binfile import set_files
from arcterm.formats.pairs.groupfile import groups_file
from arcterm.formats.recordio.facepack import FacePack
from arcterm.formats.recordio.packwriter import NAMES, PackWriter
from arcterm.runs.context import JobContext

Numbers = NDArray[np.int64]


class PackImages(NamedTuple):
    """Images of a pack: `images` (N,) their indexes, each person's together, and `classes` (N,) ascending.

    `names` of the pack's classes, or none.
    """

    pack: FacePack
    images: Numbers
    classes: Numbers
    names: list[str]

    def where(self, mask: NDArray[np.bool_]) -> PackImages:
        """Return the images for which `mask` (N,) is set."""
        return self._replace(images=self.images[mask], classes=self.classes[mask])

    def present(self) -> Numbers:
        return np.unique(self.classes)

    def name(self, number: int) -> str:
        """Name of a class, empty if it has none."""
        return self.names[number] if self.names else ""


def group_images(job: JobContext, pack: FacePack) -> PackImages:
    """Group a pack's images by person, whatever their order; raises `DataError` for a damaged record."""

    def read_labels(done: int, total: int, _: str = "", /) -> None:
        job.progress(done, total, "reading labels", pack.directory.name)

    with naming_check(pack):
        labels = pack.labels(read_labels)
        if pack.checksums is not None:
            pack.checksums.check_file(NAMES)
    images = np.argsort(labels, kind="stable")
    return PackImages(pack, images, labels[images], read_names(pack.directory, pack.classes))


def read(pack: FacePack, index: int) -> Record:
    """An image of a pack as it is stored; raises `DataError` that also names the command to look closer."""
    with naming_check(pack):
        return pack[index]


@contextmanager
def naming_check(pack: FacePack) -> Iterator[None]:
    """Add to the hint of a `DataError` how to find everything that is wrong with the pack."""
    try:
        yield
    except DataError as error:
        command = f"`arcterm data check {pack.directory}` names all that is wrong"
        hint = error.hint if "arcterm data check" in error.hint else f"{error.hint}; {command}"
        raise DataError(error.message, hint) from None


class Copier:
    """Adds people to packs, numbering them from 0 in each, and reports progress."""

    def __init__(self, job: JobContext, total: int) -> None:
        self._job = job
        self._total = total
        self._done = 0

    def copy(self, people: Sequence[PackImages], writer: PackWriter) -> None:
        """Add all people to a pack, but for images of a stopped attempt; raises `DataError`."""
        start = self._done
        there = start + writer.images
        label = -1
        for group in people:
            last = -1
            for index, number in zip(group.images, group.classes, strict=True):
                label += int(number != last)
                last = number
                if self._done >= there:
                    image = read(group.pack, int(index)).image
                    assert not isinstance(image, np.ndarray)
                    writer.add(image, label, group.name(int(number)))
                self._done += 1
                if self._job.progress(self._done, self._total, "copying", group.pack.directory.name):
                    writer.save()


def verification_sets(packs: Sequence[FacePack]) -> list[Path]:
    """The .bin files beside packs, one of each name; raises `DataError` if two of a name differ.

    So it does if they are alike, but their groups differ.
    """
    found: dict[str, Path] = {}
    for pack in packs:
        for path in set_files(pack.directory):
            if pack.checksums is not None:
                pack.checksums.check_file(path.name)
            other = found.setdefault(path.name, path)
            if not filecmp.cmp(other, path, shallow=False) or _groups(other) != _groups(path):
                raise DataError(f"{other} and {path} differ and have one name", f"rename one, e.g. {path}")
    return list(found.values())


def _groups(path: Path) -> bytes | None:
    place = groups_file(path)
    return place.read_bytes() if place.is_file() else None


def copy_sets(paths: Sequence[Path], directory: Path) -> None:
    """Copy verification sets, each with the groups of its pairs if it has some."""
    for path in paths:
        shutil.copyfile(path, directory / path.name)
        if (groups := groups_file(path)).is_file():
            shutil.copyfile(groups, directory / groups.name)


def parts_of(packs: Sequence[FacePack]) -> list[Path]:
    """The files that the images of packs are in."""
    return [pack.directory / name for pack in packs for name in ("train.rec", "train.idx")]
