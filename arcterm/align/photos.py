"""The photos of a folder, of any depth, and the names of what is made of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from arcterm.align.presets import Preset
from arcterm.errors import DataError
from arcterm.formats.people import IMAGE_TYPES, NO_IMAGE, is_junk, natural

LIST, SHEET = "align.jsonl", "sheet.jpg"
_JPEG = (".jpg", ".jpeg")
_DEEPEST = 40
_LONGEST = 240  # bytes, of the 255 that file systems have: some are for the number of a face


class Photos(msgspec.Struct, frozen=True):
    """Paths of photos below `folder` in natural order, and how many other files were passed over."""

    folder: str
    names: list[str]
    ignored: int = 0
    junk: int = 0

    @property
    def root(self) -> Path:
        return Path(self.folder)

    def digest(self) -> str:
        """Digest the names: reading a folder of millions again would take hours."""
        digest = hashlib.sha256()
        for name in self.names:
            digest.update(os.fsencode(name) + b"\0")
        return digest.hexdigest()


def find_photos(source: Path) -> Photos:
    """Find the photos of a folder of people, of a flat folder or of any other, or the one that `source` is.

    Names that begin with a dot aren't looked at; links are followed. Raises `DataError` if there are none.
    """
    if source.is_file():
        if source.suffix.lower() not in IMAGE_TYPES:
            raise DataError(f"{source} is no image by its name", "give a photo, or a folder of photos")
        return Photos(str(source.parent), [source.name])
    if not source.is_dir():
        raise DataError(f"{source} does not exist", "give a folder of photos, or a photo")
    count = {"ignored": 0, "junk": 0}
    names = list(_walk(source, "", count, ()))
    if not names:
        raise DataError(f"{source} has no image in it", NO_IMAGE)
    return Photos(str(source), names, **count)


def _walk(folder: Path, prefix: str, count: dict[str, int], above: tuple[str, ...]) -> Iterator[str]:
    """Yield the paths of a folder's images, its files before its folders."""
    real = os.path.realpath(folder)
    if real in above:
        raise DataError(f"{folder} is a link to a folder that it lies in", "remove the link")
    if len(above) > _DEEPEST:
        raise DataError(f"{folder} lies more than {_DEEPEST} folders deep", "give a folder further in")
    folders = []
    for entry in _entries(folder):
        if is_junk(entry.name):
            count["junk"] += 1
        elif entry.name.startswith("."):
            continue
        elif entry.is_dir():
            folders.append(entry.name)
        elif os.path.splitext(entry.name)[1].lower() in IMAGE_TYPES:  # noqa: PTH122  a million of them
            yield prefix + entry.name
        else:
            count["ignored"] += 1
    for name in folders:
        yield from _walk(folder / name, f"{prefix}{name}/", count, (*above, real))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: natural(entry.name))
    except OSError as error:
        raise DataError(
            f"{folder} can't be listed: {error.strerror}", "check the path and its permissions"
        ) from None


def output_names(names: Sequence[str], preset: Preset) -> list[str]:
    """Name the file that is made of each photo: the photo's own name with the preset's ending.

    Of two photos that differ by their ending alone the second keeps it before the new one, ``a.png.jpg``. A
    name that may get too long is cut, and ends in a digest. Raises `DataError` for two that can't be told
    apart so.
    """
    taken = {LIST, SHEET}
    made = []
    for name in names:
        wanted = _shortened(_output_name(name, preset))
        if wanted in taken:
            wanted = _shortened(_written(name, preset) + preset.ending)
        if wanted in taken:
            raise DataError(f"{name} and another photo would both be called {wanted}", "rename one of them")
        taken.add(wanted)
        made.append(wanted)
    return made


def _output_name(name: str, preset: Preset) -> str:
    stem, ending = os.path.splitext(_written(name, preset))  # noqa: PTH122
    if preset.ending == ".jpg" and ending.lower() in _JPEG:
        return stem + ending
    return stem + preset.ending


def _written(name: str, preset: Preset) -> str:
    return name.replace(" ", "_") if preset.underscores else name


def _shortened(name: str) -> str:
    folder, slash, own = name.rpartition("/")
    if len(data := os.fsencode(own)) <= _LONGEST:
        return name
    stem, ending = os.path.splitext(own)  # noqa: PTH122
    kept = os.fsencode(stem)[: _LONGEST - 16].decode("utf-8", "ignore")
    return f"{folder}{slash}{kept}-{hashlib.sha256(data).hexdigest()[:8]}{ending}"


def face_name(name: str, number: int) -> str:
    """The file of one of all faces of a photo: ``a.jpg`` → ``a_0.jpg``."""
    stem, ending = os.path.splitext(name)  # noqa: PTH122
    return f"{stem}_{number}{ending}"
