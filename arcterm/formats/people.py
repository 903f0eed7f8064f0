"""A folder with one directory per person: the people and their image files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from arcterm.errors import DataError
from arcterm.formats.lfs import HINT as LFS_HINT
from arcterm.formats.lfs import LARGEST, is_pointer
from arcterm.text import first_of

IMAGE_TYPES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".webp", ".gif", ".tif", ".tiff"})

_JUNK = frozenset(
    {
        "__macosx", ".ds_store", ".appledouble", ".spotlight-v100", ".trashes", ".fseventsd",
        "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information",
        "@eadir", "#recycle", "lost+found",
    }
)  # fmt: skip
NO_IMAGE = f"image files end in {', '.join(sorted(IMAGE_TYPES))}; or remove what is empty"
"""The next step for a folder or a file with nothing in it."""
_NAMED = 20

_NUMBER = re.compile(r"([0-9]+)")


class Person(NamedTuple):
    """One directory: its name and its image files in natural order."""

    name: str
    images: list[Path]


class PeopleFolder(NamedTuple):
    """All people in natural order, and how many files were ignored for not being images.

    `empty` are directories in which there is no image, `hollow` image files without a byte in them, and
    `pointers` those that are Git LFS's; `junk` counts files that operating systems leave in folders.
    """

    people: list[Person]
    ignored: int
    empty: list[Path]
    hollow: Sequence[Path] = ()
    pointers: Sequence[Path] = ()
    junk: int = 0


def is_junk(name: str) -> bool:
    """Return whether macOS, Windows or network drives leave files of this name in folders."""
    return name.startswith("._") or name.lower() in _JUNK


def find_people(folder: Path) -> PeopleFolder:
    """List `folder` without reading any image; raises `DataError` if a person has none.

    The error names all people without an image, and all image files that are empty or pointers.
    """
    found = list_people(folder)
    if found.empty:
        raise DataError(
            "; ".join(
                _name_paths(found.empty, "has no image", "folders have no image")
                + _name_paths(found.hollow, "is an empty file", "image files are empty")
                + _name_paths(found.pointers, "is a Git LFS pointer", "image files are Git LFS pointers")
            ),
            NO_IMAGE + (f"; {LFS_HINT}" if found.pointers else ""),
        )
    return found


def list_people(folder: Path) -> PeopleFolder:
    """List `folder` without reading any image; names that begin with a dot aren't looked at.

    Raises `DataError` if it isn't a directory or has no directory in it.
    """
    people, ignored, empty, hollow, pointers = [], 0, [], [], []
    directories, junk = _list_folder(folder)
    for directory in directories:
        if not directory.is_dir():
            ignored += 1
            continue
        entries, left = _list_folder(directory)
        files = [file for file in entries if file.is_file()]
        images = [file for file in files if file.suffix.lower() in IMAGE_TYPES]
        if images:
            people.append(Person(directory.name, images))
        else:
            empty.append(directory)
        small = [(file, size) for file in images if (size := file.stat().st_size) <= LARGEST]
        hollow += [file for file, size in small if not size]
        pointers += [file for file, size in small if size and _is_pointer(file)]
        ignored += len(files) - len(images)
        junk += left
    if not people and not empty:
        raise DataError(
            f"{folder} has no directory in it", "put the images of each person into a directory of their own"
        )
    return PeopleFolder(people, ignored, empty, hollow, pointers, junk)


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts s2 before s10."""
    return [int(part) if part.isdecimal() else part for part in _NUMBER.split(name)], name


def _list_folder(folder: Path) -> tuple[list[Path], int]:
    """Contents of a folder in natural order, and the number of entries left out as junk."""
    try:
        found = list(folder.iterdir())
    except OSError as error:
        raise DataError(
            f"{folder} can't be listed: {error.strerror}", "check the path and its permissions"
        ) from None
    junk = [path for path in found if is_junk(path.name)]
    wanted = [path for path in found if not path.name.startswith(".") and not is_junk(path.name)]
    return sorted(wanted, key=lambda path: natural(path.name)), len(junk)


def _is_pointer(file: Path) -> bool:
    """Return whether a small file is a pointer; False if it can't be read, which its reader reports."""
    try:
        return is_pointer(file.read_bytes())
    except OSError:
        return False


def _name_paths(paths: Sequence[Path], one: str, several: str) -> list[str]:
    """At most one sentence about `paths`: how many, and the first ones by name."""
    if len(paths) < 2:
        return [f"{path} {one}" for path in paths]
    return [f"{len(paths):,} {several}: {first_of([str(path) for path in paths], _NAMED)}"]
