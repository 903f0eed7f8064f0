"""Features of FaceScrub and MegaFace on disk, in one of two layouts.

Packed: ``facescrub.npy`` and ``megaface.npy``, float32 (N, D). Devkit: ``facescrub/`` and ``megaface/``, a
matrix file for each image. Beside them ``facescrub.txt`` and ``megaface.txt``, a name a line in the order of
the rows, and ``features.json``, `Facts`. A folder of the devkit's files that others made has neither, and may
be the tree of one set: FaceScrub's names have two parts, MegaFace's three. Its names are in order of text.

``open_features(folder).require("megaface").rows(slice(0, 4096))``
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from arcterm.errors import DataError
from arcterm.files import Stamp, read_json, stamp, write_bytes, write_json
from arcterm.formats.features.lists import find_repeated
from arcterm.formats.features.matrix import read_bytes
from arcterm.megaface.devkit import DevkitSet, find_files, is_ending
from arcterm.megaface.sets import FeatureSet, PackedSet

SetName = Literal["facescrub", "megaface"]
Layout = Literal["packed", "devkit"]
SETS: tuple[SetName, ...] = ("facescrub", "megaface")
TITLES = {"facescrub": "FaceScrub", "megaface": "MegaFace"}
PARTS = {"facescrub": 2, "megaface": 3}
"""Parts of a name: the folders that stand before the image's, and the image."""
FACTS = "features.json"
FORMAT = 1
_LARGEST = 512 << 20
_WIDEST = 1 << 20
_AGAIN = "copy it again, or export the features again"
_NO_NAME = re.compile(r"^/|^$|(?:^|/)\.\.?(?:/|$)|/$|//|[\x00-\x09\x0b-\x1f\x7f]", re.MULTILINE)
_NAMED = 5


class SetFacts(msgspec.Struct, kw_only=True):
    """A set: how many rows it has, why some of them are zeros, and why names of the list have none."""

    count: int
    refused: dict[str, str] = {}
    missing: dict[str, str] = {}


class Facts(msgspec.Struct, kw_only=True):
    """The making of features. `models` are described as their cards are.

    `ending` is that of the devkit's files. `extra` of the `width` numbers are none of the network's: 1 where
    noise was marked by 100 and what is no noise by 0, so that only Euclidean distances mean anything.
    """

    format: int = FORMAT
    algo: str
    width: Annotated[int, msgspec.Meta(ge=1, le=_WIDEST)]
    ending: str = ""
    extra: Annotated[int, msgspec.Meta(ge=0, le=1)] = 0
    models: list[dict[str, Any]] = []
    image_size: tuple[int, int] | None = None
    preprocessing: str = ""
    flip: str = ""
    cleaned: dict[str, Any] = {}
    sets: dict[str, SetFacts] = {}


class Features:
    """An opened folder of features; `facts` is None where others made it."""

    def __init__(
        self,
        folder: Path,
        layout: Layout,
        facts: Facts | None,
        places: Mapping[SetName, Path],
        ending: str = "",
    ) -> None:
        self.folder, self.layout, self.facts, self.places = folder, layout, facts, places
        self._ending = ending or (facts.ending if facts else "")
        self._opened: dict[SetName, FeatureSet] = {}

    def get(self, which: SetName) -> FeatureSet | None:
        """The features of a set; None if the folder doesn't have it. Raises `DataError` for damaged ones."""
        if which in self.places and which not in self._opened:
            self._opened[which] = self._open(which)
        return self._opened.get(which)

    def require(self, which: SetName) -> FeatureSet:
        """The features of a set; raises `DataError` if the folder doesn't have it."""
        if (found := self.get(which)) is None:
            raise DataError(
                f"{self.folder} has no features of {TITLES[which]}",
                "give a folder that has both sets, as facescrub and megaface; links to their folders will do",
            )
        return found

    @property
    def model_digests(self) -> list[dict[str, str]]:
        """The SHA-256 of the files of each model, by name; empty if that isn't known."""
        models = self.facts.models if self.facts else []
        return [dict(model["sha256"]) for model in models if isinstance(model.get("sha256"), dict)]

    def stamp(self) -> Stamp:
        """The state of what is in it, as far as that is few files."""
        beside = [self.folder / f"{which}.txt" for which in self.places]
        return stamp([self.folder / FACTS, *beside, *self.places.values()])

    def _open(self, which: SetName) -> FeatureSet:
        place, names_file = self.places[which], self.folder / f"{which}.txt"
        facts = self.facts.sets.get(which) if self.facts else None
        refused = facts.refused if facts else {}
        if self.layout == "packed":
            return PackedSet(place, read_names(names_file), refused)
        if names_file.is_file() and self._ending:
            width = self.facts.width if self.facts else 0
            return DevkitSet(place, read_names(names_file), self._ending, refused, width)
        return DevkitSet(place, *find_files(place, self._ending), refused)


def open_features(folder: Path, ending: str = "") -> Features:
    """Open a folder of features of either layout; raises `DataError`.

    The `ending` of the devkit's files is found if it isn't given.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder", "give the folder that holds features")
    facts = _read_facts(folder / FACTS)
    packed = {which: path for which in SETS if (path := folder / f"{which}.npy").is_file()}
    if packed:
        return Features(folder, "packed", facts, packed)
    trees = {which: path for which in SETS if (path := folder / which).is_dir()} or _own_tree(folder, ending)
    return Features(folder, "devkit", facts, trees, ending)


def _read_facts(path: Path) -> Facts | None:
    if not path.is_file():
        return None
    facts = read_json(path, Facts, hint=_AGAIN)
    if facts.format != FORMAT:
        raise DataError(f"{path} is of format {facts.format}, not {FORMAT}", "use the arcterm that wrote it")
    if facts.ending and not is_ending(facts.ending):
        raise DataError(f"{path} has {facts.ending!r:.100} as the ending of files", _AGAIN)
    return facts


def _own_tree(folder: Path, ending: str) -> dict[SetName, Path]:
    """Which set's tree the folder itself is, by how deep its files lie; raises `DataError` if neither's."""
    names, _ = find_files(folder, ending)
    depths = Counter(name.count("/") + 1 for name in names)
    for which in SETS:
        if list(depths) == [PARTS[which]]:
            return {which: folder}
    found = ", ".join(map(str, sorted(depths)))
    raise DataError(
        f"{folder} is neither FaceScrub's tree nor MegaFace's: files lie {found} levels deep, not 2 or 3",
        "give the folder in which facescrub and megaface lie",
    )


def read_names(path: Path) -> list[str]:
    """Read the names of rows, a line each.

    Raises `DataError`, also for one that stands twice, and for one that could lead out of the folder, below
    which files are written by their names.
    """
    try:
        text = read_bytes(path, _LARGEST).decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise DataError(f"{path} isn't UTF-8", _AGAIN) from None
    if wrong := _NO_NAME.search(text):
        line = text.count("\n", 0, wrong.start()) + 1
        raise DataError(
            f"{path} line {line} is no relative path of an image",
            _AGAIN,
        )
    names = text.split("\n")
    if repeated := find_repeated(names):
        raise DataError(
            f"{path} has {len(repeated):,} names more than once: {', '.join(repeated[:_NAMED])}",
            _AGAIN,
        )
    return names


def write_names(folder: Path, which: SetName, names: Sequence[str]) -> None:
    """Write the names of a set's rows."""
    write_bytes(folder / f"{which}.txt", "".join(f"{name}\n" for name in names).encode())


def write_facts(folder: Path, facts: Facts) -> None:
    """Write how the features of a folder were made."""
    write_json(folder / FACTS, facts)
