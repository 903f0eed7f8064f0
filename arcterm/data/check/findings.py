"""Findings of a check: kinds of problems and notes, how often each was met, the first ones by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from arcterm.errors import DataError

T = TypeVar("T")

KEPT = 1000
"""Findings of a kind that are named; the others are counted."""


class Kind(NamedTuple):
    """`title` stands before a count; a note is worth knowing and no reason to mend anything."""

    title: str
    problem: bool = True


KINDS = {
    "file": Kind("damaged or unreadable files"),
    "record": Kind("damaged records"),
    "index": Kind("faults of the index"),
    "label": Kind("labels outside the classes"),
    "size": Kind("images of another size"),
    "range": Kind("wrong identity ranges"),
    "doubled": Kind("people in several pieces"),
    "count": Kind("counts that do not agree"),
    "lone": Kind("data sets of one person"),
    "pair": Kind("contradictory pairs"),
    "alone": Kind("pairs of an image with itself"),
    "again": Kind("pairs that are in a set twice"),
    "one-class": Kind("verification sets with one kind of pair"),
    "duplicate": Kind("images that several people share"),
    "near": Kind("near duplicates of another person's image"),
    "leak": Kind("verification images that are also trained on"),
    "landmarks": Kind("landmarks that can't be right"),
    "absent": Kind("directories of people without an image"),
    "single": Kind("people with one image", problem=False),
    "empty": Kind("classes without an image", problem=False),
    "repeated": Kind("images that a person has more than once", problem=False),
    "flat": Kind("images without content", problem=False),
    "unaligned": Kind("faces that do not look aligned", problem=False),
    "lopsided": Kind("verification sets with uneven folds", problem=False),
    "rounded": Kind("identity ranges rounded to float32", problem=False),
    "unsealed": Kind("packs without checksums", problem=False),
}


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One finding: what and where, and the next step. `key` and `offset` are those of a record.

    `faces` are files with its pictures, in the directory of the check's run.
    """

    text: str
    hint: str = ""
    file: str = ""
    key: int | None = None
    offset: int | None = None
    faces: tuple[str, ...] = ()


class Place(NamedTuple):
    """Place of a finding: the file's name, and of a record its key and byte offset.

    `items` are the numbers in the survey of the images that show it.
    """

    file: str = ""
    key: int | None = None
    offset: int | None = None
    items: tuple[int, ...] = ()


NOWHERE = Place()
Said = tuple[str] | tuple[str, str] | tuple[str, str, Place]


class Findings:
    """All findings, by kind."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.named: dict[str, list[Finding]] = {}
        self.items: dict[str, list[tuple[int, ...]]] = {}

    def add(self, kind: str, text: str, hint: str = "", place: Place = NOWHERE, count: int = 1) -> None:
        """Note one, or `count` of a kind under one text."""
        self.counts[kind] = self.counts.get(kind, 0) + count
        named = self.named.setdefault(kind, [])
        if len(named) < KEPT:
            named.append(Finding(text, hint, place.file, place.key, place.offset))
            self.items.setdefault(kind, []).append(place.items)

    def add_each(self, kind: str, items: Sequence[T], describe: Callable[[T], Said]) -> None:
        """Note one of a kind for each item; `describe` gives text, hint and place of those that are named."""
        for item in items[:KEPT]:
            self.add(kind, *describe(item))
        self.more(kind, len(items[KEPT:]))

    def more(self, kind: str, count: int) -> None:
        """Count `count` more without names."""
        self.counts[kind] = self.counts.get(kind, 0) + count

    def attempt(self, kind: str, act: Callable[[], T], file: str = "") -> T | None:
        """Return what `act` returns; a `DataError` becomes a finding, and None."""
        try:
            return act()
        except DataError as error:
            self.add(kind, error.message, error.hint, Place(file))
            return None

    @property
    def problems(self) -> int:
        return sum(count for kind, count in self.counts.items() if KINDS[kind].problem)

    def verdict(self) -> str:
        many = {0: "no problems found", 1: "1 problem"}
        return many.get(self.problems, f"{self.problems:,} problems")

    def kinds(self, *, problem: bool) -> list[str]:
        """The kinds that were met, in the order of `KINDS`."""
        return [kind for kind in KINDS if self.counts.get(kind) and KINDS[kind].problem is problem]

    def data(self) -> dict[str, Any]:
        """Kind → count, whether it is a problem, and those named, for a script."""
        return {
            kind: {
                "count": self.counts[kind],
                "problem": KINDS[kind].problem,
                "title": KINDS[kind].title,
                "named": msgspec.to_builtins(self.named[kind]),
            }
            for kind in KINDS
            if self.counts.get(kind)
        }
