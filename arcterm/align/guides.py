"""What comes with the photos of two sets: FaceScrub's lists of boxes, MegaFace's file beside each photo."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.align.photos import Photos
from arcterm.errors import DataError
from arcterm.files import Stamp, stamp
from arcterm.text import first_of

ACTORS = ("facescrub_actors.txt", "facescrub_actresses.txt")
DEVKIT = "facescrub_uncropped_features_list.json"
_NAMED = 20
_LARGEST = 1 << 28
_FARTHEST = 1e6  # pixels

Key = tuple[str, int]


class Guide(NamedTuple):
    """What is known of a photo: the `box` (4,) x1, y1, x2, y2 of the face that is meant, and `three` (3, 2).

    `three` are left eye, right eye and nose. Of a photo that is `skipped` the text says why.
    """

    box: NDArray[np.float64] | None = None
    three: NDArray[np.float64] | None = None
    skipped: str = ""


class Guides(Protocol):
    """Guides of all photos."""

    def of(self, name: str) -> Guide:
        """The guide of the photo `name`; raises `DataError` if it can't be read."""

    def stamp(self) -> Stamp:
        """The state of the files that hold them, as far as they are few."""


class NoGuides:
    """Photos of which nothing is known."""

    def of(self, name: str) -> Guide:
        return Guide()

    def stamp(self) -> Stamp:
        return []


class FaceScrub:
    """FaceScrub's boxes by person and number, and which of the photos MegaFace's devkit lists.

    A line of the lists has a person, a number, the face's number and, fifth, ``x1,y1,x2,y2``, between tabs. A
    photo is called ``PERSON/PERSON_FACE.ext``, with blanks or underscores.
    """

    def __init__(self, lists: Sequence[Path], devkit: Path | None) -> None:
        self.lists, self.devkit = lists, devkit
        self._boxes: dict[Key, NDArray[np.float64]] = {}
        for path in lists:
            self._boxes |= _read_boxes(path)
        self._wanted = _read_devkit(devkit) if devkit else None

    def of(self, name: str) -> Guide:
        key = _key(name)
        if key is None or (self._wanted is not None and key not in self._wanted):
            return Guide(skipped="it isn't in the devkit's list" if key else "its name has no face's number")
        box = self._boxes.get(key)
        return Guide(skipped="the lists have no box of it") if box is None else Guide(box)

    def stamp(self) -> Stamp:
        return stamp([*self.lists, *([self.devkit] if self.devkit else [])])


class MegaFace:
    """``PHOTO.json`` beside each photo: ``bounding_box``, and ``landmarks``: eyes 1 and 0, nose 2."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def of(self, name: str) -> Guide:
        path = self._root / f"{name}.json"
        data = _read_json(path)
        try:
            box = three = None
            if found := data.get("bounding_box"):
                x, y = _number(found["x"]), _number(found["y"])
                box = np.array([x, y, x + _number(found["width"]), y + _number(found["height"])])
            marks = data.get("landmarks") or {}
            if {"0", "1", "2"} <= marks.keys():
                three = np.array([[_number(marks[n]["x"]), _number(marks[n]["y"])] for n in "102"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is not as MegaFace writes it: {error!r:.100}", "copy it again") from None
        return Guide(box, three)

    def stamp(self) -> Stamp:
        return []


def read_guides(kind: str, photos: Photos, boxes: str, check: bool = False) -> Guides:
    """Read the guides of a preset's `kind`.

    Raises `DataError` for files that are missing or wrong. With `check` files are looked for beside all
    photos, and one error names those that are missing.
    """
    if kind == "boxes":
        return _find_facescrub(photos.root, boxes)
    if boxes:
        raise DataError("--boxes is for --preset facescrub", "leave it out, or give that preset")
    if kind == "json":
        missing = _missing_beside(photos) if check else []
        _require_none(missing, "MegaFace has one beside each photo; or use --preset folder, which needs none")
        return MegaFace(photos.root)
    return NoGuides()


def _missing_beside(photos: Photos) -> list[str]:
    """Paths of the files that photos lack; a folder is listed once, since a look at each would take long."""
    missing, folder = [], None
    there: set[str] = set()
    for name in photos.names:
        path = photos.root / f"{name}.json"
        if path.parent != folder:
            folder = path.parent
            there = {entry.name for entry in os.scandir(folder)}
        if path.name not in there:
            missing.append(str(path))
    return missing


def _find_facescrub(root: Path, boxes: str) -> FaceScrub:
    """Find the lists in the file or folder `boxes`, or else with the photos or above them."""
    given = Path(boxes) if boxes else None
    if given is not None and given.is_file():
        return FaceScrub([given], None)
    places = [given] if given else [root, root.parent]
    folder = next((place for place in places if any((place / name).exists() for name in ACTORS)), places[0])
    missing = [str(folder / name) for name in ACTORS if not (folder / name).is_file()]
    _require_none(missing, "give the folder that holds them, or one list of all boxes, as --boxes")
    devkit = folder / DEVKIT
    return FaceScrub([folder / name for name in ACTORS], devkit if devkit.is_file() else None)


def _require_none(missing: Sequence[str], hint: str) -> None:
    if missing:
        said = f"{len(missing):,} files are" if len(missing) > 1 else "a file is"
        raise DataError(f"{said} missing: {first_of(missing, _NAMED)}", hint)


def _read_boxes(path: Path) -> dict[Key, NDArray[np.float64]]:
    """Read a list; raises `DataError` naming the line that is none of it."""
    found = {}
    for number, line in enumerate(_read_text(path).splitlines(), 1):
        fields = line.split("\t")
        if number == 1 and "name" in fields[0].lower():
            continue
        try:
            box = np.array([_number(float(x)) for x in fields[4].split(",")])
            key = fields[0].replace("_", " "), int(fields[2])
            if box.shape != (4,):
                raise ValueError
        except (IndexError, ValueError):
            raise DataError(
                f"{path} line {number} is no line of FaceScrub's: {line[:80]!r}",
                "its fields are name, image, face, url and x1,y1,x2,y2, with tabs between them",
            ) from None
        found[key] = box
    return found


def _read_devkit(path: Path) -> set[Key]:
    listed = _read_json(path).get("path")
    if not isinstance(listed, list):
        raise DataError(f"{path} is no list of MegaFace's devkit: it has no path", "copy it again")
    return {key for name in listed if (key := _key(str(name)))}


def _key(name: str) -> Key | None:
    """Person and face of a name like ``Adam Brody/Adam Brody_420.jpeg``; None of another."""
    person, _, number = PurePosixPath(name).stem.rpartition("_")
    return (person.replace("_", " "), int(number)) if person and number.isdecimal() else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = msgspec.json.decode(_read_text(path))
    except (msgspec.DecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}", "copy it again") from None
    if not isinstance(data, dict):
        raise DataError(f"{path} is not as MegaFace writes it", "copy it again")
    return data


def _read_text(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST:
            raise DataError(f"{path} is no list of photos", "give another file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read: {error}", "copy it again") from None


def _number(value: Any) -> float:
    """A place in an image; raises `ValueError` for what can be none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _FARTHEST:
        raise ValueError(f"{str(value)[:40]!r} is no place in an image")
    return float(value)
