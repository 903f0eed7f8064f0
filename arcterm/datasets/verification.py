"""The verification sets of a directory: each read when it is asked for, all looked at before a launch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

import msgspec
from arcterm_registry.contracts import DatasetFacts, FaceDataset

from arcterm import cache
from arcterm.errors import DataError
from arcterm.formats.pairs.binfile import set_files
from arcterm.formats.pairs.groupfile import groups_file
from arcterm.formats.pairs.setfiles import SetFiles, set_name
from arcterm.formats.pairs.usable import check_usable, unmeasured
from arcterm.formats.recordio import checksums
from arcterm.progress import Progress, unheard

_REMEMBERED_FROM = 4 << 20  # bytes; a smaller set is decoded in less time than a cache is worth
_WHOLE = 1 << 30  # bytes of a file that are digested; of a larger one pieces from its start to its end
_PIECE, _PIECES = 1 << 16, 1024


class VerificationSets(SetFiles):
    """Every ``*.bin`` of a directory by name, in alphabetical order, and links to what isn't there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        lost = [path for path in directory.glob("*.bin") if path.is_symlink() and not path.exists()]
        super().__init__({set_name(path): path for path in sorted([*set_files(directory), *lost])})


class SetsLook(NamedTuple):
    """The result of inspecting all sets of a directory.

    `pairs` counts those of each set that can be used, `set_aside` has the reasons why others can't be,
    `problems` are sentences, `digest` is of all names and bytes.
    """

    pairs: dict[str, int]
    set_aside: dict[str, str]
    problems: list[str]
    digest: str

    def facts(
        self, faces: FaceDataset, size: tuple[int, int], fingerprint: str, earlier: str, problems: list[str]
    ) -> DatasetFacts:
        """Facts of a data set with these sets and its own `problems`."""
        return DatasetFacts(
            images=len(faces),
            classes=faces.classes,
            image_size=size,
            fingerprint=fingerprint,
            verification=self.pairs,
            problems=(*problems, *self.problems),
            set_aside=self.set_aside,
            earlier=(earlier,),
        )


class _Sound(msgspec.Struct, frozen=True):
    """A set that can be used, as the cache has it, so that it is decoded once."""

    pairs: int
    problems: list[str]
    digest: str


def look(sets: VerificationSets, size: tuple[int, int], progress: Progress) -> SetsLook:
    """Decode every image of every set, which must be (height, width) `size`, each set let go again.

    A set that can be used is remembered for as long as its file is as it was.
    """
    pairs, set_aside, problems = {}, {}, []
    digest = hashlib.sha256()
    for name, path in sets.paths.items():
        found = _look(sets, name, size, progress)
        if isinstance(found, _Sound):
            pairs[name], content = found.pairs, found.digest
            problems += found.problems
        else:
            set_aside[name], content = found, _digest(path)
        digest.update(f"{name!a} {content}\n".encode())
    return SetsLook(pairs, set_aside, problems, digest.hexdigest())


def _look(sets: VerificationSets, name: str, size: tuple[int, int], progress: Progress) -> _Sound | str:
    """Inspect one set; returns the reason if it can't be used."""
    path = sets.paths[name]
    place = _place(sets, name, size)
    if place and (known := _remembered(place)):
        return known
    try:
        held = sets.read(name)
        check_usable(name, held, size, progress if place else unheard)  # a small set takes no time
    except DataError as error:
        return error.message
    found = _Sound(len(held.same), unmeasured(name, held.same), _digest(path))
    if place:
        cache.keep(place, msgspec.json.encode(found))
    return found


def _place(sets: VerificationSets, name: str, size: tuple[int, int]) -> Path | None:
    """Return the set's place in the cache; None if decoding it takes no time."""
    path = sets.paths[name]
    beside = (sets.directory / checksums.NAME, groups_file(path))
    if not path.is_file() or path.stat().st_size < _REMEMBERED_FROM:
        return None
    return cache.place("sets", [path, *(file for file in beside if file.exists())], f"1 {size}")


def _remembered(place: Path) -> _Sound | None:
    try:
        return msgspec.json.decode(place.read_bytes(), type=_Sound)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return None


def _digest(path: Path) -> str:
    """SHA-256 of a file; of more than 1 GiB, of its size and pieces of it; empty if it can't be read."""
    try:
        if not path.is_file():  # a pipe would wait for its writer
            return ""
        with path.open("rb") as file:
            size = path.stat().st_size
            if size <= _WHOLE:
                return hashlib.file_digest(file, "sha256").hexdigest()
            digest = hashlib.sha256(b"%d" % size)
            for number in range(_PIECES):
                file.seek((size - _PIECE) * number // (_PIECES - 1))
                digest.update(file.read(_PIECE))
            return digest.hexdigest()
    except OSError:
        return ""
