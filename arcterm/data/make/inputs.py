"""The input of a pack: people and their images, from a folder, a pack, a list or an archive."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.align.door import FaceFinder
from arcterm.data.make import archives
from arcterm.data.make.imagefiles import Picture
from arcterm.data.reshape import copying
from arcterm.errors import DataError
from arcterm.files import Stamp, read_json, stamp, write_json
from arcterm.formats.lists import ImageList, read_list
from arcterm.formats.people import NO_IMAGE, is_junk, list_people
from arcterm.formats.recordio.facepack import FacePack, pack_directory
from arcterm.runs.context import JobContext


class PersonPictures(NamedTuple):
    """A person: a name and the images."""

    name: str
    pictures: Sequence[Picture]


class PackInput(NamedTuple):
    """All people in the order of classes, how many files were passed over, and whether a list named them.

    `junk` counts what systems leave in folders; `refused` are people without an image; `sets` are the
    verification sets of a pack, and `size` its (height, width).
    """

    people: list[PersonPictures]
    ignored: int
    listed: bool
    junk: int = 0
    sets: Sequence[Path] = ()
    size: tuple[int, int] | None = None
    refused: Sequence[DataError] = ()


def open_source(job: JobContext, src: Path, finder: FaceFinder | None = None) -> PackInput:
    """Open a directory of people, a pack, a ``.lst`` or an archive, which is unpacked into the job.

    The weights of the `finder` that is to align its photos are then part of what must not change. Raises
    `DataError`.
    """
    if archives.is_archive(src) and src.is_file():
        job.require_unchanged([*stamp([src]), *_weights(finder)])
        return _from_archive(job, src)
    if pack := pack_directory(src):
        return _from_pack(job, pack, finder)
    if src.suffix in (".rec", ".idx"):
        raise DataError(
            f"{src} is not named as a pack's", "call the two train.rec and train.idx, in one folder"
        )
    if src.suffix == ".bin":
        raise DataError(
            f"{src} is a verification set: it doesn't say whose its images are",
            f"`arcterm data extract {src} FOLDER` writes its images",
        )
    source = _from_files(src)
    digest: Stamp = [[str(src), _digest(source.people)]] if not source.listed else []
    job.require_unchanged([*digest, *_weights(finder)] if digest else stamp([src]))
    return source


def _weights(finder: FaceFinder | None) -> Stamp:
    return finder.stamp() if finder is not None else []


def _from_pack(job: JobContext, directory: Path, finder: FaceFinder | None) -> PackInput:
    pack = FacePack(directory)
    job.require_unchanged([*stamp(copying.parts_of([pack])), *_weights(finder)])
    images = copying.group_images(job, pack)
    path = directory / "train.rec"
    people = []
    for label in images.present().tolist():
        start, stop = np.searchsorted(images.classes, [label, label + 1]).tolist()
        records = _Records(path, pack, images.images[start:stop])
        people.append(PersonPictures(images.name(label) or str(label), records))
    sets = copying.verification_sets([pack])
    return PackInput(people, 0, False, sets=sets, size=pack.image_size)


class _Records(Sequence[Picture]):
    """A person's images of a pack, named when asked for."""

    def __init__(self, path: Path, pack: FacePack, indexes: NDArray[np.int64]) -> None:
        self._path, self._pack, self._indexes = path, pack, indexes

    def __len__(self) -> int:
        return len(self._indexes)

    def __getitem__(self, index: int) -> Picture:  # type: ignore[override]
        return Picture(self._path, pack=self._pack, number=int(self._indexes[index]))


def _from_files(src: Path) -> PackInput:
    if src.suffix == ".lst" or src.is_file():
        return PackInput(_listed(src), 0, True)
    listed = list_people(src)
    found, ignored, junk = listed.people, listed.ignored, listed.junk
    refused = [DataError(f"{folder} has no image", NO_IMAGE) for folder in listed.empty]
    people = [PersonPictures(name, [Picture(path) for path in images]) for name, images in found]
    return PackInput(people, ignored, False, junk, refused=refused)


def _digest(people: list[PersonPictures]) -> str:
    """Digest the names of all images in order: reading a folder of millions again would take hours."""
    digest = hashlib.sha256()
    for name, pictures in people:
        digest.update(b"\0".join(os.fsencode(text) for text in (name, *(p.path.name for p in pictures), "/")))
    return digest.hexdigest()


def _listed(path: Path) -> list[PersonPictures]:
    """Read a list's people in order of their labels, the lines of each together."""
    listed = read_list(path)
    order = np.argsort(listed.labels, kind="stable")
    labels, starts = np.unique(listed.labels[order], return_index=True)
    lines = np.split(order, starts[1:])
    return [PersonPictures(str(label), _Lines(listed, own)) for label, own in zip(labels, lines, strict=True)]


class _Lines(Sequence[Picture]):
    """A person's lines of a list, taken apart when asked for: a list may have millions."""

    def __init__(self, listed: ImageList, lines: NDArray[np.int64]) -> None:
        self._listed, self._lines = listed, lines

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, index: int) -> Picture:  # type: ignore[override]
        line = self._listed[int(self._lines[index])]
        return Picture(line.path, line.aligned, line.landmarks, line.box)


def _from_archive(job: JobContext, src: Path) -> PackInput:
    """Unpack into the job's own directory, whole or not at all, and look for a list or people in there."""
    place, done = job.work / "unpacked", job.work / "unpacked.json"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        passed_over = archives.unpack(src, place, job.progress)
        write_json(done, passed_over)
    passed_over = read_json(done, int)
    root = _root(place)
    lists = sorted(path for path in root.glob("*.lst") if not is_junk(path.name))
    if len(lists) > 1:
        raise DataError(
            f"{src} holds {len(lists)} lists: {', '.join(p.name for p in lists[:5])}",
            "unpack it and give the one that is meant",
        )
    found = _from_files(lists[0] if lists else root)
    return found._replace(ignored=found.ignored + passed_over)


def _root(place: Path) -> Path:
    """The first directory in which there is more than one directory and nothing else."""
    entries = [path for path in place.iterdir() if not (path.name.startswith(".") or is_junk(path.name))]
    inside = entries[0] if len(entries) == 1 and entries[0].is_dir() else None
    if inside is not None and any(path.is_dir() or path.suffix == ".lst" for path in inside.iterdir()):
        return _root(inside)
    return place
