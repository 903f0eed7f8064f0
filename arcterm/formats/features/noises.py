"""The lists of noise in FaceScrub and in MegaFace: a name a line, after a comment.

FaceScrub's images go by their files' bare names, MegaFace's by their last three parts,
``375/37531198@N00/4174611825_0.jpg``. Where a line has tabs the second field is the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from arcterm.errors import DataError
from arcterm.formats.features.lists import find_repeated, refuse, tail, text_lines
from arcterm.formats.features.matrix import read_bytes
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.lists import refuse_utf_16
from arcterm.formats.people import IMAGE_TYPES

_LARGEST = 64 << 20
_SHOWN = 60
_ENDINGS = tuple(IMAGE_TYPES)
_PARTS = ("folder", "album", "image")


@dataclass(frozen=True)
class Noises:
    """The distinct names of a list, of up to `parts` parts, its number of lines, and the names in several."""

    names: dict[str, None]
    lines: int
    repeated: list[str]
    parts: int

    def __contains__(self, path: object) -> bool:
        """Whether the image `path`, of any depth, is noise."""
        return tail(str(path), self.parts) in self.names


def read_facescrub_noises(path: Path) -> Noises:
    """Read the list of FaceScrub's noise; raises `DataError`."""
    return _read(path, 1)


def read_megaface_noises(path: Path) -> Noises:
    """Read the list of MegaFace's noise; raises `DataError`."""
    return _read(path, 3)


def _read(path: Path, parts: int) -> Noises:
    data = read_bytes(path, _LARGEST)
    refuse_pointer(data[:64], path)
    refuse_utf_16(data[:2], path)
    if b"\0" in data:
        raise DataError(f"{path} isn't text: it has zero bytes in it", "give a list with a name in each line")
    names, wrong = [], []
    for number, line in text_lines(data, path):
        fields = line.split("\t")
        name = tail(fields[1] if len(fields) > 1 else fields[0], parts)
        if not name.lower().endswith(_ENDINGS) or name.count("/") != parts - 1:
            wrong.append((number, f"{ascii(line)[:_SHOWN]} is no {' / '.join(_PARTS[-parts:])}"))
        names.append(name)
    refuse(wrong, "line", path, "give a list of noise as InsightFace published it, for the set that it is of")
    return Noises(dict.fromkeys(names), len(names), find_repeated(names), parts)
