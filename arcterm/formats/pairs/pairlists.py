"""Lists of pairs: LFW's pairs.txt in the shapes that go round, and lines of two paths and 0 or 1.

LFW's lines are ``name n1 n2`` for two images of one person and ``name1 n1 name2 n2`` for images of two; image
n of a person is ``name/name_%04d`` with the ending of an image. A header gives folds and pairs of a kind per
fold, or pairs of a kind alone. CALFW's and CPLFW's lists have two lines a pair, each with a file's name and a
number that is 0 for two persons. Fields are separated by tabs, else by commas or semicolons, else by blanks.
Lines of column names are passed over wherever they stand.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.lists import refuse_utf_16
from arcterm.formats.people import IMAGE_TYPES

MAX_BYTES = 256 << 20

_NUMBER = re.compile(r"[0-9]{1,9}")
# What the columns are called where a list was made by a spreadsheet; a line of data has a number in it.
_COLUMN = re.compile(
    r"(is_?)?(same|name|person|imagenum|image|img|pic|photo|path|file|label|match|flag|target|id|num)"
    r"[_ ]?[a-z0-9_]*",
    re.I,
)
_FLAGS = {"1": True, "0": False, "-1": False, "true": True, "false": False, "1.0": True, "0.0": False}
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SHAPES = "a line is `name n1 n2`, `name1 n1 name2 n2`, or two paths and 0 or 1"
_NAMED = 5


class _BadPairError(Exception):
    """A line that is no pair, and the next step."""

    def __init__(self, reason: str, hint: str = _SHAPES) -> None:
        super().__init__(reason)
        self.hint = hint


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


class _Half(NamedTuple):
    """One line of two that make a pair."""

    path: str
    same: bool
    line: int


def read_pair_list(path: Path, folder: Path | None = None) -> PairList:
    """Read a list of pairs; raises `DataError` naming the lines that can't be understood or believed.

    An absolute path is taken for one below `folder` if it leads there.
    """
    lines = _read_lines(path)
    header = _parse_header(lines[0][1])
    found: list[tuple[ListedPair | _Half, str]] = []
    bad: list[tuple[int, _BadPairError]] = []
    reader = _LineParser(folder)
    for number, fields in lines[1:] if header is not None else lines:
        if all(map(_COLUMN.fullmatch, fields)):
            continue
        try:
            found.append(reader.parse(fields, number))
            if found[-1][1] != found[0][1]:
                raise _BadPairError("has another shape than the lines before it")
        except _BadPairError as error:
            bad.append((number, error))
    _raise_for(path, bad)
    pairs = _join_halves(path, [item for item, _ in found])
    folds = _check_count(path, lines[0][0], header or [], len(pairs))
    return PairList(pairs, found[0][1] == "lfw", folds)


def _raise_for(path: Path, bad: list[tuple[int, _BadPairError]]) -> None:
    """Raise `DataError` for the lines that are wrong, all at once."""
    if len(bad) == 1:
        raise DataError(f"{path} line {bad[0][0]}: {bad[0][1]}", bad[0][1].hint)
    if bad:
        named = "; ".join(f"line {line}: {error}" for line, error in bad[:_NAMED])
        more = f"; and {len(bad) - _NAMED:,} more" if len(bad) > _NAMED else ""
        raise DataError(f"{path}: {len(bad):,} lines are no pairs: {named}{more}", bad[0][1].hint)


def _join_halves(path: Path, found: list[ListedPair | _Half]) -> list[ListedPair]:
    """The pairs, with those written as two lines joined; raises `DataError`."""
    pairs = [item for item in found if isinstance(item, ListedPair)]
    halves = [item for item in found if isinstance(item, _Half)]
    for one, other in zip(halves[::2], halves[1::2], strict=False):
        if one.same != other.same:
            raise DataError(
                f"{path} lines {one.line} and {other.line} are a pair; one says same, the other different",
                "each pair has two lines in a row, with 0 in both if they are of two persons",
            )
        pairs.append(ListedPair(one.path, other.path, one.same, one.line))
    if len(halves) % 2:
        raise DataError(
            f"{path} line {halves[-1].line} is half a pair: the list has {len(halves)} lines of one image",
            "get the whole list again: each pair has two lines",
        )
    return pairs


def _read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Number and fields of every line that isn't blank."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES} bytes: it is no list of pairs", _SHAPES)
        data = path.read_bytes()
        refuse_pointer(data, path)
        refuse_utf_16(data, path)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "check the path and its permissions"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} isn't text: byte {error.start} isn't UTF-8", _SHAPES) from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip(" \t\r,;")]
    if not lines:
        raise DataError(f"{path} has no pair in it", _SHAPES)
    return [(number, _split_fields(path, number, line)) for number, line in lines]


def _split_fields(path: Path, number: int, line: str) -> list[str]:
    line = line.rstrip("\r")
    if _CONTROL.search(line) or "\r" in line:
        raise DataError(f"{path} line {number} has control characters in it", "remove them, or the line")
    separator = next((sign for sign in "\t,;" if sign in line), None)
    fields = [_unquote(field.strip()) for field in line.split(separator)]
    while fields and not fields[-1]:
        fields.pop()
    return fields


def _unquote(field: str) -> str:
    """A field without the quotes that spreadsheets put around it."""
    return field[1:-1].strip() if len(field) > 1 and field[0] == field[-1] == '"' else field


def _parse_header(fields: list[str]) -> list[int] | None:
    """The numbers of a header, none of a line of column names; None for a line of data."""
    if len(fields) <= 2 and all(map(_NUMBER.fullmatch, fields)):
        return [int(field) for field in fields]
    return [] if all(map(_COLUMN.fullmatch, fields)) else None


class _LineParser:
    """Parses lines of fields; `folder` holds the images."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._flags: set[str] = set()

    def parse(self, fields: list[str], line: int) -> tuple[ListedPair | _Half, str]:
        """The pair or half of a line, and its shape; raises `_BadPairError`."""
        numbers = [bool(_NUMBER.fullmatch(field)) for field in fields]
        match fields, numbers:
            case [name, one, other], [_, True, True]:
                return ListedPair(self._lfw_path(name, one), self._lfw_path(name, other), True, line), "lfw"
            case [name, one, second, other], [_, True, _, True]:
                if name == second:
                    raise _BadPairError(f"calls {name!r} and {second!r} two persons")
                return ListedPair(
                    self._lfw_path(name, one), self._lfw_path(second, other), False, line
                ), "lfw"
            case [name, number], [False, True] if PurePosixPath(name).suffix.lower() in IMAGE_TYPES:
                return _Half(self._relative_path(name), int(number) > 0, line), "halves"
            case [a, b, flag], _ if flag.lower() in _FLAGS:
                return ListedPair(
                    self._relative_path(a), self._relative_path(b), self._parse_flag(flag), line
                ), "paths"
            case [flag, a, b], _ if flag.lower() in _FLAGS:
                return ListedPair(
                    self._relative_path(a), self._relative_path(b), self._parse_flag(flag), line
                ), "paths"
        hint = f"{_SHAPES}; a line of column names is to be taken out" if line == 1 else _SHAPES
        raise _BadPairError(f"{len(fields)} fields that make no pair: {' | '.join(fields)[:100]!r}", hint)

    def _parse_flag(self, text: str) -> bool:
        self._flags.add(text)
        if {"0", "-1"} <= self._flags:
            raise _BadPairError(
                "0 and -1 are both used for different persons", "write 1 for same, 0 for different"
            )
        return _FLAGS[text.lower()]

    def _lfw_path(self, name: str, number: str) -> str:
        """LFW's path of a person's image, without its ending."""
        if "/" in self._relative_path(name):
            raise _BadPairError(f"{name!r} can't be the name of a person's folder")
        return f"{name}/{name}_{int(number):04d}"

    def _relative_path(self, text: str) -> str:
        """`text` as a path relative to the folder; raises `_BadPairError` if it leaves it."""
        path = PurePosixPath(text if "/" in text else text.replace("\\", "/"))
        if path.is_absolute() and self._folder is not None:
            for root in (self._folder.absolute(), self._folder.resolve()):
                if path.is_relative_to(root):
                    path = path.relative_to(root)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise _BadPairError(
                f"{text!r} leaves the folder of images",
                "give the folder that holds all images of the list, and let its paths start from there",
            )
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
