"""Lists of images, as MegaFace's devkit and the scripts around it have them.

The devkit's are JSON: ``path`` and, of probes, ``id``, parallel. Others have a path a line; where there are
tabs, a line is ``aligned path label …`` as InsightFace's alignment of 2018 writes it, or im2rec's
``number label path``. Blank lines, and lines that begin with ``#``, are passed over.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from arcterm.errors import DataError
from arcterm.formats.features.matrix import read_bytes
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.lists import refuse_utf_16
from arcterm.text import first_of

_LARGEST = 512 << 20
_NAMED = 5
_SHOWN = 60
_JSON = re.compile(rb"\s*(\{|\[\s*[\[\"{])")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]*)?")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_HINT = "a list is JSON with path and id, or has the path of an image in each line"


class PathList(NamedTuple):
    """The paths of a list in its order, and of a list that knows it, whom each shows."""

    paths: list[str]
    people: list[str]

    @property
    def repeated(self) -> list[str]:
        """The paths that stand in it more than once, each once."""
        return find_repeated(self.paths)


class _Devkit(msgspec.Struct):
    path: list[str]
    id: list[str | int] | None = None


def read_path_list(path: Path) -> PathList:
    """Read a list of images; raises `DataError` naming the entries that are no paths."""
    data = read_bytes(path, _LARGEST)
    refuse_pointer(data[:64], path)
    refuse_utf_16(data[:2], path)
    data = data.removeprefix(BOM_UTF8)
    found = _read_devkit(data, path) if _JSON.match(data) else _read_lines(data, path)
    if not found.paths:
        raise DataError(f"{path} has no image in it", _HINT)
    return found


def _read_devkit(data: bytes, path: Path) -> PathList:
    try:
        found = msgspec.json.decode(data, type=_Devkit)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DataError(f"{path} is no list of the devkit: {ascii(str(error))[1:-1]:.200}", _HINT) from None
    people = [str(name) for name in found.id or ()]
    if found.id is not None and len(people) != len(found.path):
        raise DataError(f"{path} has {len(found.path):,} paths but {len(people):,} ids", _HINT)
    wrong = [(n, why) for n, text in enumerate(found.path, 1) if (why := _fault(text))]
    refuse(wrong, "entry", path)
    return PathList(found.path, people)


def _read_lines(data: bytes, path: Path) -> PathList:
    paths: list[str] = []
    wrong: list[tuple[int, str]] = []
    for number, line in text_lines(data, path):
        text = _path_of(line.split("\t")) if "\t" in line else line
        why = _fault(text) if text else f"{ascii(line)[:_SHOWN]} has no path where one is expected"
        if why:
            wrong.append((number, why))
        paths.append(text)
    refuse(wrong, "line", path)
    return PathList(paths, [])


def text_lines(data: bytes, path: Path) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line of UTF-8, less blanks around it, empty ones and comments."""
    for number, line in enumerate(data.removeprefix(BOM_UTF8).split(b"\n"), 1):
        if (line := line.strip(b" \t\r")) and not line.startswith(b"#"):
            try:
                yield number, line.decode("utf-8")
            except UnicodeDecodeError:
                raise DataError(f"{path} line {number} isn't UTF-8", "save it as UTF-8") from None


def _path_of(fields: Sequence[str]) -> str:
    """The path among the fields of a line with tabs; empty if there is none."""
    numbers = [_NUMBER.fullmatch(field) is not None for field in fields[:2]]
    if numbers == [True, False] and fields[0] in ("0", "1"):
        return fields[1].strip(" ")
    return fields[2].strip(" ") if numbers == [True, True] and len(fields) == 3 else ""


def _fault(text: str) -> str:
    """Say why `text` can't be the path of an image; empty if it can."""
    if not text or text.endswith("/"):
        return f"{ascii(text)[:_SHOWN]} names no file"
    if _CONTROL.search(text):
        return f"{ascii(text)[:_SHOWN]} has control characters"
    return f"{ascii(text)[:_SHOWN]} leads out of its folder" if ".." in text.split("/") else ""


def refuse(wrong: Sequence[tuple[int, str]], what: str, path: Path, hint: str = _HINT) -> None:
    """Raise `DataError` if anything is `wrong`: the number of a line or an entry, and why."""
    if wrong:
        shown = first_of([f"{what} {number}: {why}" for number, why in wrong], _NAMED, "; ")
        raise DataError(f"{path} {shown}", hint)


def find_repeated(names: Sequence[str]) -> list[str]:
    """The names that stand in `names` more than once, each once, in order."""
    if len(set(names)) == len(names):
        return []
    return [name for name, number in Counter(names).items() if number > 1]


def tail(path: str, parts: int) -> str:
    """The last `parts` parts of a path: ``/data/a/b.jpg``, 2 → ``a/b.jpg``."""
    return "/".join([part for part in path.split("/") if part not in ("", ".")][-parts:])
