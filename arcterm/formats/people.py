"""A folder with one directory per person: who is in it and which images they have."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from arcterm.errors import DataError

IMAGE_TYPES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".webp"})

_NUMBER = re.compile(r"([0-9]+)")


class Person(NamedTuple):
    """One directory: its name and its image files in natural order."""

    name: str
    images: list[Path]


class People(NamedTuple):
    """Everybody in natural order, and how many files were passed over for not being images.

    `empty` are directories in which there is no image.
    """

    people: list[Person]
    ignored: int
    empty: list[Path]


def find_people(folder: Path) -> People:
    """List `folder` without reading any image, and see that everybody has one; raises `DataError`."""
    found = list_people(folder)
    if found.empty:
        raise DataError(
            f"{found.empty[0]} has no image",
            f"image files end in {', '.join(sorted(IMAGE_TYPES))}; or remove it",
        )
    return found


def list_people(folder: Path) -> People:
    """List `folder` without reading any image; names that begin with a dot aren't looked at.

    Raises `DataError` if it isn't a directory or has nobody in it.
    """
    people, ignored, empty = [], 0, []
    for directory in _listed(folder):
        if not directory.is_dir():
            ignored += 1
            continue
        files = [file for file in _listed(directory) if file.is_file()]
        images = [file for file in files if file.suffix.lower() in IMAGE_TYPES]
        if images:
            people.append(Person(directory.name, images))
        else:
            empty.append(directory)
        ignored += len(files) - len(images)
    if not people and not empty:
        raise DataError(
            f"{folder} has no directory in it", "put the images of each person into a directory of their own"
        )
    return People(people, ignored, empty)


def natural(name: str) -> tuple[list[str | int], str]:
    """Sort key that puts s2 before s10."""
    return [int(part) if part.isdecimal() else part for part in _NUMBER.split(name)], name


def _listed(folder: Path) -> list[Path]:
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith(".")]
    except OSError as error:
        raise DataError(
            f"{folder} can't be listed: {error.strerror}", "check the path and its permissions"
        ) from None
    return sorted(found, key=lambda path: natural(path.name))
