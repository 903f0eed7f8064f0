"""The images of a set as its list has them, and where their features are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.features.lists import find_repeated, read_path_list, tail
from arcterm.megaface.sets import FeatureSet
from arcterm.megaface.store import PARTS, TITLES, SetName
from arcterm.text import first_of

_NAMED = 10
_LONGEST = 200  # characters of a name; reasons stand behind some


def read_names_of(path: Path, which: SetName) -> tuple[list[str], list[str]]:
    """Read the list of a set: the names that its features go by, and the paths that the list has.

    Of a path the last two parts are the name in FaceScrub, three in MegaFace. A line that stands twice is
    taken once. Raises `DataError` for different paths of one name.
    """
    paths = list(dict.fromkeys(read_path_list(path).paths))
    names = [tail(text, PARTS[which]) for text in paths]
    if repeated := find_repeated(names):
        raise DataError(
            f"{path} has {len(repeated):,} names of {TITLES[which]} by several paths: "
            + shorten(repeated, _NAMED),
            "keep one path of each: features are stored by the last parts of a path",
        )
    return names, paths


def shorten(names: list[str], most: int) -> str:
    """The first names, long ones cut, and how many more there are."""
    return first_of([name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in names], most)


@dataclass(frozen=True)
class Listed:
    """Images of a set in an order: their names and the rows of their features, -1 where there is none."""

    features: FeatureSet
    names: list[str]
    rows: NDArray[np.int64]

    @property
    def missing(self) -> list[str]:
        """Names without a feature."""
        return [self.names[number] for number in np.flatnonzero(self.rows < 0).tolist()]


def in_order(features: FeatureSet, which: SetName, path: str) -> Listed:
    """The images in the order of the list `path`, or without one in that of the features.

    Raises `DataError` if the list has no image in common with the features.
    """
    names = read_names_of(Path(path), which)[0] if path else features.names
    found = Listed(features, names, features.find(names))
    if (found.rows < 0).all():
        raise DataError(
            f"{features.place} has a feature of none of {len(names):,} images of {path or features.place}, "
            f"nor of {names[0]}",
            "check that the list and the features belong together",
        )
    return found
