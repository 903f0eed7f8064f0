"""Lists of pairs: LFW's pairs.txt in the shapes that go round, and lines of two paths and 0 or 1.

LFW's lines are ``name n1 n2`` for two images of one person and ``name1 n1 name2 n2`` for images of two; image
n of somebody is ``name/name_%04d`` with the ending of an image. A header gives folds and pairs of a kind per
fold, or pairs of a kind alone. Fields are separated by tabs, else by commas, else by blanks.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from arcterm.errors import DataError

MAX_BYTES = 256 << 20

_NUMBER = re.compile(r"[0-9]{1,9}")
# What the columns are called where a list was made by a spreadsheet; a line of data has a number in it.
_COLUMN = re.compile(
    r"(is_?)?(same|name|person|imagenum|image|img|path|file|label|match)[_ ]?[a-z0-9]*", re.I
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SHAPES = "a line is `name n1 n2`, `name1 n1 name2 n2`, or two paths and 0 or 1"


class ListedPair(NamedTuple):
    """Two images by their paths below a folder, whether they show one person, and the line that says so."""

    a: str
    b: str
    same: bool
    line: int


class PairList(NamedTuple):
    """The pairs of a list in its order; with `by_name` the paths lack their ending, as LFW's do.

    `folds` is what the header says, None where it doesn't.
    """

    pairs: list[ListedPair]
    by_name: bool
    folds: int | None


def read_pair_list(path: Path) -> PairList:
    """Read a list of pairs; raises `DataError` naming the line that can't be understood or believed."""
    lines = _lines(path)
    header = _header(lines[0][1])
    pairs: list[ListedPair] = []
    shapes: set[bool] = set()
    for number, fields in lines[1:] if header is not None else lines:
        try:
            pair, by_name = _pair(fields, number)
        except ValueError as error:
            raise DataError(f"{path} line {number}: {error}", _SHAPES) from None
        shapes.add(by_name)
        if len(shapes) == 2:
            raise DataError(f"{path} line {number} has another shape than the lines before it", _SHAPES)
        pairs.append(pair)
    folds = _check_count(path, lines[0][0], header or [], len(pairs))
    return PairList(pairs, True in shapes, folds)


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Number and fields of every line that isn't blank."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES} bytes: it is no list of pairs", _SHAPES)
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "check the path and its permissions"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} isn't text: byte {error.start} isn't UTF-8", _SHAPES) from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip(" \t\r,")]
    if not lines:
        raise DataError(f"{path} has no pair in it", _SHAPES)
    return [(number, _fields(path, number, line)) for number, line in lines]


def _fields(path: Path, number: int, line: str) -> list[str]:
    line = line.rstrip("\r")
    if _CONTROL.search(line) or "\r" in line:
        raise DataError(f"{path} line {number} has control characters in it", "remove them, or the line")
    separator = next((sign for sign in "\t," if sign in line), None)
    fields = [field.strip() for field in line.split(separator)]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _header(fields: list[str]) -> list[int] | None:
    """The numbers of a header, none of a line of column names; None for a line of data."""
    if len(fields) <= 2 and all(map(_NUMBER.fullmatch, fields)):
        return [int(field) for field in fields]
    return [] if all(map(_COLUMN.fullmatch, fields)) else None


def _pair(fields: list[str], line: int) -> tuple[ListedPair, bool]:
    """The pair of a line and whether it is LFW's; raises ValueError saying what is wrong."""
    numbers = [bool(_NUMBER.fullmatch(field)) for field in fields]
    match fields, numbers:
        case [name, one, other], [_, True, True]:
            return ListedPair(_image(name, one), _image(name, other), True, line), True
        case [name, one, second, other], [_, True, _, True]:
            if name == second:
                raise ValueError(f"calls {name!r} and {second!r} two persons")
            return ListedPair(_image(name, one), _image(second, other), False, line), True
        case ([a, b, "0" | "1" as flag], _) | (["0" | "1" as flag, a, b], _):
            return ListedPair(_below(a), _below(b), flag == "1", line), False
    raise ValueError(f"{len(fields)} fields that make no pair: {' | '.join(fields)[:100]!r}")


def _image(name: str, number: str) -> str:
    """Where LFW keeps an image of somebody, without its ending."""
    if "/" in _below(name):
        raise ValueError(f"{name!r} can't be the name of a person's folder")
    return f"{name}/{name}_{int(number):04d}"


def _below(text: str) -> str:
    """The path, if it is one that stays below a folder."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{text!r} leaves the folder of images")
    return str(path)


def _check_count(path: Path, line: int, header: list[int], count: int) -> int | None:
    """The folds that the header promises; raises `DataError` if it promises another number of pairs."""
    if not count:
        raise DataError(f"{path} has no pair in it", _SHAPES)
    match header:
        case []:
            return None
        case [each]:
            promised, folds = 2 * each, None
        case [folds, each]:
            promised = 2 * folds * each
    if promised != count:
        raise DataError(
            f"{path} line {line} promises {promised} pairs, as many same as different; the list has {count}",
            "get the whole list again, or set the header right: folds would shift",
        )
    return folds
