"""Lines of large text files: whole lines in blocks, each line by a parser of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from arcterm.errors import DataError
from arcterm.formats.ijb.problems import NAMED, BadLine, Problems, quote

_BLOCK = 4 << 20  # bytes: a few hundred thousand lines
_LONGEST = 64 << 10  # bytes of a line
_MARK = b"\xef\xbb\xbf"  # of UTF-8, which some editors put before the first line
_DIGITS = 9  # of an id, so that it fits into 32 bits


class Block(NamedTuple):
    """Whole lines of a file; `first` is the number of the first one, from 1."""

    data: bytes
    first: int


def read_blocks(path: Path) -> Iterator[Block]:
    """Yield the lines of `path` in blocks; raises `DataError` if it can't be read or is no text of lines."""
    first, rest = 1, b""
    try:
        with path.open("rb") as file:
            while data := file.read(_BLOCK):
                data = rest + (data.removeprefix(_MARK) if file.tell() == len(data) else data)
                whole, newline, rest = data.rpartition(b"\n")
                if len(rest) > _LONGEST:
                    raise DataError(f"{path} has a line of more than {_LONGEST >> 10} KiB", "copy it again")
                if newline:
                    yield Block(whole + newline, first)
                    first += whole.count(b"\n") + 1
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check the path") from None
    if rest:
        yield Block(rest + b"\n", first)


def parse_lines(block: Block, path: Path, parse: Callable[[bytes], None], problems: Problems) -> bool:
    """Call `parse` with each line, which raises `BadLine`; returns whether none did.

    Stops after as many bad lines as are named.
    """
    bad: list[str] = []
    for number, line in enumerate(block.data.removesuffix(b"\n").split(b"\n"), block.first):
        try:
            parse(line)
        except BadLine as error:
            bad.append(f"{path.name} line {number}: {error}")
            if len(bad) == NAMED:
                break
    problems.add(bad)
    if len(bad) == NAMED:
        problems.add([f"{path.name}: lines after these were not looked at"])
    return not bad


def parse_id(field: bytes, what: str) -> int:
    """Parse a template, media or subject id; raises `BadLine`."""
    if not field.isdigit() or len(field) > _DIGITS:
        raise BadLine(f"the {what} {quote(field)} is no whole number of at most {_DIGITS} digits")
    return int(field)
