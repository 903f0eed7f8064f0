"""Lists of pairs: LFW's pairs.txt in the shapes that go round, and lines of two paths and 0 or 1.

LFW's lines are ``name n1 n2`` for two images of one person and ``name1 n1 name2 n2`` for images of two; image
n of a person is ``name/name_%04d`` with the ending of an image. A header gives folds and pairs of a kind per
fold, or pairs of a kind alone. CALFW's and CPLFW's lists have two lines a pair, each with a file's name and a
number that is 0 for two persons; they have all pairs of a kind in a row, and are put into ten like blocks.
Fields are separated by tabs, else by commas or semicolons, else by blanks. Lines of column names are passed
over wherever they stand; a column that they call race, group or the like gives the group of each pair.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.lists import refuse_utf_16
from arcterm.formats.pairs.pairing import BLOCKS, interleave
from arcterm.formats.pairs.pairlines import (
    SHAPES,
    BadPairError,
    Half,
    LineParser,
    ListedPair,
    is_number,
    join_halves,
)
from arcterm.text import first_of

MAX_BYTES = 256 << 20

_GROUP = re.compile(
    r"race|(sub_?)?group|ethnicity|ethnic_group|gender|sex|skin(_?tone)?|category|subset|domain|age_?group",
    re.I,
)
# What the columns are called where a list was made by a spreadsheet; a line of data has a number in it.
_COLUMN = re.compile(
    r"(is_?)?(same|name|person|imagenum|image|img|pic|photo|path|file|label|match|flag|target|id|num)"
    rf"[_ ]?[a-z0-9_]*|n[0-9]|{_GROUP.pattern}",
    re.I,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NAMED = 5


class PairList(NamedTuple):
    """The pairs of a list in its order; with `by_name` the paths lack their ending, as LFW's do.

    `folds` is what the header says, None where it doesn't. `note` says how the order was changed, if it was.
    """

    pairs: list[ListedPair]
    by_name: bool
    folds: int | None
    note: str = ""


def read_pair_list(path: Path, folder: Path | None = None) -> PairList:
    """Read a list of pairs; raises `DataError` naming the lines that can't be understood or believed.

    An absolute path is taken for one below `folder` if it leads there.
    """
    lines = read_lines(path)
    header = _parse_header(lines[0][1])
    found: list[tuple[ListedPair | Half, str]] = []
    bad: list[tuple[int, BadPairError]] = []
    reader, column = LineParser(folder), _GroupColumn()
    for number, fields in lines[1:] if header else lines:
        if all(map(_COLUMN.fullmatch, fields)):
            column.find(fields)
            continue
        try:
            rest, group = column.take(fields)
            found.append(reader.parse(rest, number, group))
            if found[-1][1] != found[0][1]:
                raise BadPairError("has another shape than the lines before it")
        except BadPairError as error:
            bad.append((number, error))
    _raise_for(path, bad)
    pairs, note = _join(path, [item for item, _ in found])
    folds = _check_count(path, lines[0][0], header, len(pairs))
    return PairList(pairs, found[0][1] == "lfw", folds, note)


class _GroupColumn:
    """Where lines have their group, by the last line of column names; nowhere before there is one."""

    def __init__(self) -> None:
        self._index: int | None = None

    def find(self, fields: list[str]) -> None:
        named = [index for index, field in enumerate(fields) if _GROUP.fullmatch(field)]
        if len(named) == 1:
            # lines of two shapes have unlike lengths, so that the last column is counted from the end
            self._index = -1 if named[0] == len(fields) - 1 else named[0]

    def take(self, fields: list[str]) -> tuple[list[str], str]:
        """Split a line into its other fields and its group; raises `BadPairError` if it has none."""
        if self._index is None:
            return fields, ""
        rest = list(fields)
        group = rest.pop(self._index) if self._index < len(rest) else ""
        if not group:
            raise BadPairError("has no group", "give each pair its group, or take the column's name out")
        return rest, group


def _raise_for(path: Path, bad: list[tuple[int, BadPairError]]) -> None:
    """Raise `DataError` for the lines that are wrong, all at once."""
    if len(bad) == 1:
        raise DataError(f"{path} line {bad[0][0]}: {bad[0][1]}", bad[0][1].hint)
    if bad:
        named = first_of([f"line {line}: {error}" for line, error in bad], _NAMED, "; ")
        raise DataError(f"{path}: {len(bad):,} lines are no pairs: {named}", bad[0][1].hint)


def _join(path: Path, found: list[ListedPair | Half]) -> tuple[list[ListedPair], str]:
    """The pairs, and how their order was changed: two lines make one, kinds in a row become blocks."""
    pairs = [item for item in found if isinstance(item, ListedPair)]
    halves = [item for item in found if isinstance(item, Half)]
    bad: list[tuple[int, BadPairError]] = []
    for one, other in zip(halves[::2], halves[1::2], strict=False):
        try:
            pairs.append(join_halves(one, other))
        except BadPairError as error:
            named = BadPairError(f"with line {other.line} it makes no pair: {error}", error.hint)
            bad.append((one.line, named))
    _raise_for(path, bad)
    if len(halves) % 2:
        raise DataError(
            f"{path} line {halves[-1].line} is half a pair: the list has {len(halves)} lines of one image",
            "get the whole list again: each pair has two lines",
        )
    blocks = interleave([[pair for pair in pairs if pair.same], [pair for pair in pairs if not pair.same]])
    if not halves or blocks == pairs:
        return pairs, ""
    return blocks, f"the list has its kinds in a row: its pairs were put into {BLOCKS} blocks of both kinds"


def read_lines(path: Path) -> list[tuple[int, list[str]]]:
    """Number and fields of every line that isn't blank; raises `DataError` for a file without any."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES} bytes: it is no list of pairs", SHAPES)
        data = path.read_bytes()
        refuse_pointer(data, path)
        refuse_utf_16(data, path)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "check the path and its permissions"
        ) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} isn't text: byte {error.start} isn't UTF-8", SHAPES) from None
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip(" \t\r,;")]
    if not lines:
        raise DataError(f"{path} has no pair in it", SHAPES)
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


def _parse_header(fields: list[str]) -> list[int]:
    """The numbers of a header; none if the line is another."""
    return [int(field) for field in fields] if len(fields) <= 2 and all(map(is_number, fields)) else []


def _check_count(path: Path, line: int, header: list[int], count: int) -> int | None:
    """The folds that the header promises; raises `DataError` if it promises another number of pairs."""
    if not count:
        raise DataError(f"{path} has no pair in it", SHAPES)
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
