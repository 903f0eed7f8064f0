"""What came of an alignment: counts, names of the odd photos, and those that are worth a look."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from arcterm_registry.contracts import JobReport

from arcterm.align.detection import Choice
from arcterm.align.photos import LIST, SHEET, Photos
from arcterm.align.rows import Row, RowReader

ODD = ("unreadable", "dropped", "centre crop", "box crop", "forced")
"""Treatments, the oddest first; the others are as they should be."""
_NAMED = 10
_SHOWN_OF_A_KIND = 12
_SHOWN = 60
_MANY = 2


@dataclass
class Outcome:
    """Photos by how they were treated, the first ones of each odd kind, and `shown`, rows for the sheet."""

    treated: Counter[str] = field(default_factory=Counter)
    odd: dict[str, list[Row]] = field(default_factory=dict)
    several: int = 0
    several_names: list[str] = field(default_factory=list)
    faces: int = 0
    files: int = 0
    shown: list[Row] = field(default_factory=list)

    @property
    def problems(self) -> int:
        return self.treated["unreadable"] + self.treated["dropped"]


def count(reader: RowReader) -> Outcome:
    """Go through all rows once, and once more through those that the sheet shows."""
    found = Outcome()
    least: list[tuple[float, int]] = []
    ordinary = []
    for number, text in reader:
        row = msgspec.json.decode(text, type=Row)
        found.treated[row.treated] += 1
        found.faces += row.faces
        found.files += len(row.files)
        if row.faces >= _MANY:
            found.several += 1
            if len(found.several_names) < _NAMED:
                found.several_names.append(f"{row.path} ({row.faces})")
        if row.treated in ODD:
            kind = found.odd.setdefault(row.treated, [])
            if len(kind) < _SHOWN_OF_A_KIND:
                kind.append(row)
        elif row.files:
            ordinary.append(number)
            least = sorted([*least, (max(row.scores, default=0.0), number)])[:_SHOWN_OF_A_KIND]
    found.shown = [row for kind in ODD[1:] for row in found.odd.get(kind, [])]
    numbers = dict.fromkeys(number for _, number in least)
    rest = [number for number in ordinary if number not in numbers]
    room = min(_SHOWN - len(found.shown) - len(numbers), len(rest))
    numbers |= dict.fromkeys(rest[place * len(rest) // room] for place in range(room))
    found.shown += [msgspec.json.decode(reader.text(number), type=Row) for number in numbers]
    return found


def left_out(detector: str) -> str:
    """Say that the forced step can't be done."""
    return f"{detector} can't look into a given box: where it finds no face there, the box itself is cut out"


def report(
    found: Outcome, photos: Photos, target: Path, choice: Choice, preset: str, size: int, notes: list[str]
) -> JobReport:
    """The report of a job that wrote into `target`."""
    total, problems = len(photos.names), found.problems
    aligned = sum(found.treated.values()) - problems - found.treated["skipped"]
    ways = ", ".join(
        f"{number:,} {kind}"
        for kind, number in found.treated.most_common()
        if kind not in ("unreadable", "dropped", "skipped")
    )
    lines = [
        f"aligned {aligned:,} of {total:,} photos by {choice.name}: {ways or 'none'}; "
        f"{found.files:,} faces of {size}×{size} in {target}"
    ]
    lines += _named(found, "dropped", "no face was found in", "left out")
    lines += _named(found, "unreadable", "unreadable:", "")
    if found.treated["skipped"]:
        lines.append(f"passed over {found.treated['skipped']:,} photos that the lists don't have")
    if found.several:
        lines.append(f"several faces in {found.several:,}: {_listed(found.several_names, found.several)}")
    if photos.ignored or photos.junk:
        lines.append(f"passed over {photos.ignored + photos.junk:,} files that aren't images")
    lines += [f"note: {note}" for note in notes]
    lines.append(f"look at {target / SHEET}; {target / LIST} has a line for each photo")
    data = {
        "path": str(target),
        "photos": total,
        "aligned": aligned,
        "files": found.files,
        "faces": found.faces,
        "treated": dict(found.treated),
        "several_faces": found.several,
        "ignored": photos.ignored,
        "junk": photos.junk,
        "detector": choice.name,
        "weights": choice.weights,
        "preset": preset,
        "size": size,
        "problems": [
            {"path": row.path, "treated": row.treated, "reason": row.reason}
            for kind in ("unreadable", "dropped")
            for row in found.odd.get(kind, [])[:_NAMED]
        ],
    }
    return JobReport(lines=lines, data=data, problems=problems, result=str(target))


def _named(found: Outcome, kind: str, words: str, after: str) -> list[str]:
    """A line on the photos of a kind, if there are any, and one for each of the first."""
    number = found.treated[kind]
    if not number:
        return []
    rows = found.odd[kind][:_NAMED]
    said = f"{words} {number:,} photo{'s' * (number != 1)}{', ' + after if after else ''}"
    more = [f"  and {number - len(rows):,} more, in {LIST}"] if number > len(rows) else []
    return [said, *(f"  {_words(row)}" for row in rows), *more]


def _words(row: Row) -> str:
    return row.reason if row.reason.startswith(row.path) else f"{row.path}: {row.reason}"


def _listed(names: list[str], number: int) -> str:
    return ", ".join(names) + (f" and {number - len(names):,} more" if number > len(names) else "")
