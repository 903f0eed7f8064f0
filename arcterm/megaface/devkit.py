"""Features as MegaFace's devkit takes them: a matrix file for each image, ``PATH_OF_IMAGE + ENDING``.

The ending is ``_ALGO_112x112.bin`` by InsightFace's script of early 2018 and ``_ALGO.bin`` by later ones.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import ConfigError, DataError
from arcterm.formats.features.matrix import parse_feature
from arcterm.formats.people import IMAGE_TYPES
from arcterm.megaface.sets import FeatureSet, Rows
from arcterm.text import first_of

_FILE = re.compile(
    rf"(.+(?:{'|'.join(re.escape(kind) for kind in sorted(IMAGE_TYPES))}))(_[^/]*\.bin)", re.IGNORECASE
)
_ENDING = re.compile(r"_[^/\x00-\x1f\x7f-\x9f]{1,100}\.bin")
_LARGEST = 1 << 20
_DEEPEST = 8
_NAMED = 10


class DevkitSet(FeatureSet):
    """Features in a file each, below `place`; without a `width` the first that can be read says it."""

    def __init__(
        self, place: Path, names: list[str], ending: str, refused: Mapping[str, str], width: int = 0
    ) -> None:
        self.ending = ending
        self._root = f"{place}/"
        super().__init__(place, names, width, refused)
        self.width = width or self._find_width()

    def rows(self, rows: Rows, faults: dict[int, str] | None = None) -> NDArray[np.float32]:
        numbers = np.arange(len(self.names))[rows].tolist()
        found = np.zeros((len(numbers), self.width), np.float32)
        wrong: dict[int, str] = {} if faults is None else faults
        for place, number in enumerate(numbers):
            try:
                if (name := self.names[number]) not in self.refused:
                    found[place] = self._read_of_width(name)
            except DataError as error:
                wrong[number] = error.message
        if wrong and faults is None:
            raise unreadable(list(wrong.values()))
        return found

    def _read_of_width(self, name: str) -> NDArray[np.float32]:
        feature = self._read(name)
        if len(feature) != self.width:
            path = f"{self._root}{name}{self.ending}"
            raise DataError(f"{path} has {len(feature):,} numbers, not {self.width:,}")
        return feature

    def _find_width(self) -> int:
        reasons = []
        for name in self.names:
            if name not in self.refused:
                try:
                    return len(self._read(name))
                except DataError as error:
                    reasons.append(error.message)
        raise unreadable(reasons or [f"{self.place} has no feature in it"])

    def _read(self, name: str) -> NDArray[np.float32]:
        path = f"{self._root}{name}{self.ending}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # a pipe has no writer to wait for
            try:
                data = os.read(fd, _LARGEST)
            finally:
                os.close(fd)
        except OSError as error:
            raise DataError(f"{path} can't be read: {error.strerror}", "export the features again") from None
        return parse_feature(data, Path(path))


def unreadable(reasons: list[str]) -> DataError:
    """The error for features that can't be read."""
    said = f"{len(reasons):,} features can't be read: " if len(reasons) > 1 else ""
    return DataError(said + first_of(reasons, _NAMED, "; "), "copy these files again, or export them again")


def is_ending(text: str) -> bool:
    """Whether the devkit's files may end so: ``_ALGO.bin``, without a folder in it."""
    return _ENDING.fullmatch(text) is not None


def check_ending(ending: str) -> None:
    """Raise `ConfigError` for what can't be the ending of the devkit's files."""
    if not is_ending(ending):
        raise ConfigError(
            f"{ascii(ending)[1:-1]} is no ending of the devkit's files", "give one like _r100_112x112.bin"
        )


def algo_of(ending: str) -> str:
    """The name of the features in files that end so: ``_r100_112x112.bin`` → ``r100_112x112``."""
    return ending.removeprefix("_").removesuffix(".bin")


def usual_ending(algo: str, image_size: tuple[int, int] | None) -> str:
    """The ending of files with features of that name, as the script of early 2018 has it."""
    size = f"_{image_size[0]}x{image_size[1]}" if image_size else ""
    return f"_{algo}{size}.bin"


def find_files(root: Path, ending: str = "") -> tuple[list[str], str]:
    """Find the images of which features lie below `root`, in order of names, and the ending of the files.

    Raises `DataError` if there are none, or of several endings.
    """
    names: dict[str, list[str]] = {}
    for path in _walk(str(root), "", 0):
        if ending:
            if path.endswith(ending):
                names.setdefault(ending, []).append(path[: -len(ending)])
        elif match := _FILE.fullmatch(path):
            names.setdefault(match[2], []).append(match[1])
    if not names:
        called = f"*{ending}" if ending else "IMAGE_ALGO.bin"
        raise DataError(
            f"{root} has no feature in it, a file called {called}", "check the folder, and the ending"
        )
    if len(names) > 1:
        counts = Counter({found: len(files) for found, files in names.items()})
        shown = ", ".join(f"{count:,} *{found}" for found, count in counts.most_common(_NAMED))
        raise DataError(
            f"{root} has features of several endings: {shown}",
            "choose one by --ending, or move the others elsewhere",
        )
    (found,) = names
    return names[found], found


def _walk(folder: str, prefix: str, depth: int) -> Iterator[str]:
    """Yield the paths of all files below `folder`, those of a folder in order."""
    if depth > _DEEPEST:
        raise DataError(f"{folder} lies more than {_DEEPEST} folders deep", "give a folder further in")
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
            folders = {entry.name for entry in found if entry.is_dir()}
    except OSError as error:
        raise DataError(f"{folder} can't be listed: {error.strerror}", "check its permissions") from None
    for entry in found:
        if entry.name in folders:
            yield from _walk(f"{folder}/{entry.name}", f"{prefix}{entry.name}/", depth + 1)
        else:
            yield prefix + entry.name
