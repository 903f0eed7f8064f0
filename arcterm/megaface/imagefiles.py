"""The files of the aligned images that a list means, and those that are missing, found before all work."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from arcterm.errors import DataError
from arcterm.formats.features.lists import find_repeated
from arcterm.formats.people import IMAGE_TYPES
from arcterm.megaface.listing import read_names_of, shorten
from arcterm.megaface.store import TITLES, SetName
from arcterm.progress import unheard

_NAMED = 10
_BLOCK = 256  # files looked for between two reports


@dataclass
class Found:
    """Images of a set below `root`: `names` that their features get, `files` relative to it, in order.

    `missing` are paths of the list and why there is no file of theirs. `by_stem` counts those whose file has
    another ending than the list says.
    """

    root: Path
    names: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    by_stem: int = 0
    first_by_stem: str = ""


def find_images(
    root: Path, listed: Path, which: SetName, skip: int = 0, progress: Callable[[int, int], object] = unheard
) -> Found:
    """Find the files of a list's images below `root`, after the first `skip` of the list.

    A path is taken as it is, absolute or from `root`, then by its last parts; in FaceScrub underscores may
    stand for its blanks, as `arcterm align` writes them. Where there is no such file one of another ending is
    taken: aligned images of FaceScrub are .png whatever the photos were, and their features are called so.
    Raises `DataError` if no file is there.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder", f"give the folder of {TITLES[which]}'s aligned images")
    found, stems = Found(root), _Stems(root)
    images = list(zip(*read_names_of(listed, which), strict=True))[skip:]
    for number, (name, path) in enumerate(images):
        if number % _BLOCK == 0:
            progress(number, len(images))
        tried = list(dict.fromkeys(_spellings(path, name, which)))
        called = name.replace(" ", "_") if which == "facescrub" else name
        file = next((text for text in tried if os.path.isfile(root / text)), "")  # noqa: PTH113
        if not file and (file := next(filter(None, map(stems.find, tried)), "")) not in ("", *tried):
            found.by_stem += 1
            found.first_by_stem = found.first_by_stem or f"{file} for {path}"
            if which == "facescrub" and file.endswith(".png"):
                called = f"{os.path.splitext(called)[0]}.png"  # noqa: PTH122
        if file:
            found.names.append(called)
            found.files.append(file)
        else:
            found.missing[called] = f"there is no {root / tried[0]}"
    _check(found, listed, which, skip)
    return found


def _spellings(path: str, name: str, which: SetName) -> Iterator[str]:
    for text in (path, name):
        yield text
        if which == "facescrub":
            yield text.replace(" ", "_")


def _check(found: Found, listed: Path, which: SetName, skip: int) -> None:
    total = len(found.names) + len(found.missing)
    if not total:
        raise DataError(f"{listed} has no more than {skip:,} images", "skip fewer of them")
    if not found.names:
        raise DataError(
            f"none of {total:,} images of {listed} is in {found.root}: {next(iter(found.missing.values()))}",
            f"give the folder of {TITLES[which]}'s aligned images, and a list of paths in it",
        )
    if repeated := find_repeated(found.names):
        raise DataError(
            f"{listed} has {len(repeated):,} images twice, by different endings or blanks: "
            + shorten(repeated, _NAMED),
            "keep one of each",
        )


class _Stems:
    """Files by their names without ending, of folders that are listed once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folders: dict[str, dict[str, str]] = {}

    def find(self, path: str) -> str:
        """An image file that differs from `path` by its ending alone, .png before others; empty if none."""
        folder, slash, own = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = self._list(folder)
        name = self._folders[folder].get(os.path.splitext(own)[0], "")  # noqa: PTH122
        return f"{folder}{slash}{name}" if name else ""

    def _list(self, folder: str) -> dict[str, str]:
        try:
            names = os.listdir(self._root / folder)  # noqa: PTH208
        except OSError:  # there is no such folder: then neither is the image
            return {}
        split = [(stem, ending, stem + ending) for stem, ending in map(os.path.splitext, names)]
        images = [each for each in split if each[1].lower() in IMAGE_TYPES]
        return {stem: name for stem, ending, name in sorted(images, key=lambda each: each[1] == ".png")}
