"""One line of a list of pairs: fields to a pair of images, or to one image of two that make a pair."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from arcterm.formats.people import IMAGE_TYPES

SHAPES = "a line is `name n1 n2`, `name1 n1 name2 n2`, or two paths and 0 or 1"

_NUMBER = re.compile(r"[0-9]{1,9}")
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")
_NUMBERED = re.compile(r"(.+)_[0-9]{4}")
_FLAGS = {
    **dict.fromkeys(("1", "1.0", "true", "same", "genuine", "match"), True),
    **dict.fromkeys(("0", "0.0", "-1", "-1.0", "−1", "false"), False),
    **dict.fromkeys(("diff", "different", "impostor", "mismatch", "nonmatch"), False),
}


class BadPairError(Exception):
    """A line that is no pair, and the next step."""

    def __init__(self, reason: str, hint: str = SHAPES) -> None:
        super().__init__(reason)
        self.hint = hint


class ListedPair(NamedTuple):
    """Two images by their paths, whether they show one person, and the line that says so.

    A path is below a folder, or begins with ``/`` where it is one of another machine. `group` is the pair's
    own, empty if the list has none, and `file` the list among several that the line is in.
    """

    a: str
    b: str
    same: bool
    line: int
    group: str = ""
    file: str = ""

    @property
    def place(self) -> str:
        """The line in words."""
        return f"{self.file} line {self.line}".lstrip()


class Half(NamedTuple):
    """One line of two that make a pair; `token` is the same in both, 0 for two persons."""

    path: str
    token: int
    line: int
    group: str = ""


class LineParser:
    """Parses lines of fields; `folder` holds the images."""

    def __init__(self, folder: Path | None) -> None:
        self._roots = [folder.absolute(), folder.resolve()] if folder else []
        self._flags: set[str] = set()

    def parse(self, fields: list[str], line: int, group: str = "") -> tuple[ListedPair | Half, str]:
        """The pair or half of a line, and its shape; raises `BadPairError`."""
        numbers = [is_number(field) for field in fields]
        match fields, numbers:
            case [name, one, other], [_, True, True]:
                a, b = self._lfw_path(name, one), self._lfw_path(name, other)
                return ListedPair(a, b, True, line, group), "lfw"
            case [name, one, second, other], [_, True, _, True]:
                if name == second:
                    raise BadPairError(f"calls {name!r} and {second!r} two persons")
                a, b = self._lfw_path(name, one), self._lfw_path(second, other)
                return ListedPair(a, b, False, line, group), "lfw"
            case [name, number], [False, True] if _is_image(name):
                return Half(self._relative_path(name), int(number), line, group), "halves"
            case [first, second, flag], _ if flag.lower() in _FLAGS:
                return self._paths(first, second, flag, line, group), "paths"
            case [flag, first, second], _ if flag.lower() in _FLAGS:
                return self._paths(first, second, flag, line, group), "paths"
        joined = _join_blanks(fields, numbers)
        if joined != fields:
            return self.parse(joined, line, group)
        hint = f"{SHAPES}; a line of column names is to be taken out" if line == 1 else SHAPES
        raise BadPairError(f"{len(fields)} fields that make no pair: {' | '.join(fields)[:100]!r}", hint)

    def _paths(self, first: str, second: str, flag: str, line: int, group: str) -> ListedPair:
        self._flags.add(flag)
        if {"0", "-1"} <= self._flags:
            raise BadPairError(
                "0 and -1 are both used for different persons", "write 1 for same, 0 for different"
            )
        a, b = self._relative_path(first), self._relative_path(second)
        return ListedPair(a, b, _FLAGS[flag.lower()], line, group)

    def _lfw_path(self, name: str, number: str) -> str:
        """LFW's path of a person's image, without its ending."""
        if "/" in self._relative_path(name):
            raise BadPairError(f"{name!r} can't be the name of a person's folder")
        return f"{name}/{name}_{int(number):04d}"

    def _relative_path(self, text: str) -> str:
        """`text` as a path relative to the folder, or an absolute one with ``/``; raises `BadPairError`."""
        drive = _DRIVE.match(text)
        slashed = text.replace("\\", "/") if drive or "/" not in text else text
        path = PurePosixPath("/" + slashed[3:] if drive else slashed)
        for root in self._roots:
            if path.is_relative_to(root):
                path = path.relative_to(root)
        if ".." in path.parts or not path.parts or path.parts[-1] == "/":
            raise BadPairError(
                f"{text!r} leaves the folder of images",
                "give the folder that holds all images of the list, and let its paths start from there",
            )
        return str(path).replace("//", "/")


def is_number(field: str) -> bool:
    """Return whether a field is a whole number as lists have them."""
    return bool(_NUMBER.fullmatch(field))


def join_halves(one: Half, other: Half) -> ListedPair:
    """Make a pair of its two lines; raises `BadPairError` if they can't be one."""
    if one.token != other.token:
        raise BadPairError(
            f"one says {one.token}, the other {other.token}",
            "each pair has two lines in a row with one number: 0 in both if they are of two persons",
        )
    people = [_NUMBERED.fullmatch(PurePosixPath(half.path).stem) for half in (one, other)]
    if people[0] and people[1] and (people[0][1] == people[1][1]) != (one.token > 0):
        raise BadPairError(
            f"{one.path} and {other.path} are called {'one person' if one.token else 'two persons'}",
            "their names say otherwise: correct the number, or look whether a line is missing before",
        )
    return ListedPair(one.path, other.path, one.token > 0, one.line, one.group)


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in IMAGE_TYPES


def _join_blanks(fields: list[str], numbers: list[bool]) -> list[str]:
    """Join what blanks within names have separated, if there is one way to; else return `fields`."""
    at = [index for index, number in enumerate(numbers) if number]
    last = len(fields) - 1
    match at:
        case [first, second] if second == last and first == last - 1 > 0:
            return [" ".join(fields[:first]), *fields[first:]]
        case [first, second] if second == last and 0 < first < last - 1:
            return [" ".join(fields[:first]), fields[first], " ".join(fields[first + 1 : last]), fields[last]]
    ends = [index for index, field in enumerate(fields) if _is_image(field)]
    if ends == [last - 1] and numbers[last]:
        return [" ".join(fields[:last]), fields[last]]
    if len(ends) == 2 and ends[1] == last - 1:
        return [" ".join(fields[: ends[0] + 1]), " ".join(fields[ends[0] + 1 : last]), fields[last]]
    return fields
