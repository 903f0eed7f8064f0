"""What came of an alignment: counts, names of the odd photos, and those that are worth a look."""

from __future__ import annotations

import heapq
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
_WITHOUT = ("unreadable", "dropped", "skipped")
"""Treatments that make no file."""
_NAMED = 10
_SHOWN_OF_A_KIND = 12
_SHOWN = 60


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

    @property
    def aligned(self) -> int:
        return sum(number for kind, number in self.treated.items() if kind not in _WITHOUT)


def count(reader: RowReader) -> Outcome:
    """Go through all rows once, and once more through those that the sheet shows."""
    found = Outcome()
    lowest: list[tuple[float, int]] = []  # as a heap, the best of them first
    ordinary = []
    for number, text in reader:
        row = msgspec.json.decode(text, type=Row)
        _add(found, row)
        if row.files and row.treated not in ODD:
            ordinary.append(number)
            heapq.heappush(lowest, (-max(row.scores, default=0.0), -number))
            if len(lowest) > _SHOWN_OF_A_KIND:
                heapq.heappop(lowest)
    found.shown = [row for kind in ODD[1:] for row in found.odd.get(kind, [])]
    numbers = [-number for _, number in sorted(lowest, reverse=True)]
    rest = [number for number in ordinary if number not in numbers]
    room = min(_SHOWN - len(found.shown) - len(numbers), len(rest))
    numbers += [rest[place * len(rest) // room] for place in range(room)]
    found.shown += [msgspec.json.decode(reader.text(number), type=Row) for number in numbers]
    return found


def _add(found: Outcome, row: Row) -> None:
    """Count a row, and keep it or its name if it is odd."""
    found.treated[row.treated] += 1
    found.faces += row.faces
    found.files += len(row.files)
    if row.faces > 1:
        found.several += 1
        if len(found.several_names) < _NAMED:
            found.several_names.append(f"{row.path} ({row.faces})")
    if row.treated in ODD:
        kind = found.odd.setdefault(row.treated, [])
        if len(kind) < _SHOWN_OF_A_KIND:
            kind.append(row)


def left_out(detector: str) -> str:
    """Say that the forced step can't be done."""
    return f"{detector} can't look into a given box: where it finds no face there, the box itself is cut out"


def report(
    found: Outcome, photos: Photos, target: Path, choice: Choice, preset: str, size: int, notes: list[str]
) -> JobReport:
    """The report of a job that wrote into `target`; `notes` stand among its lines."""
    data = {
        "path": str(target),
        "photos": len(photos.names),
        "aligned": found.aligned,
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
    ways = ", ".join(
        f"{number:,} {kind}" for kind, number in found.treated.most_common() if kind not in _WITHOUT
    )
    lines = [
        f"aligned {found.aligned:,} of {len(photos.names):,} photos by {choice.name}: {ways or 'none'}; "
        f"{found.files:,} faces of {size}×{size} in {target}",
        *_notes(found, photos),
        *(f"note: {note}" for note in notes),
        f"look at {target / SHEET}; {target / LIST} has a line for each photo",
    ]
    return JobReport(lines=lines, data=data, problems=found.problems, result=str(target))


def _notes(found: Outcome, photos: Photos) -> list[str]:
    """Lines on the photos that are odd in some way."""
    lines = _named(found, "dropped", "no face was found in", "left out")
    lines += _named(found, "unreadable", "unreadable:", "")
    if found.treated["skipped"]:
        lines.append(f"passed over {found.treated['skipped']:,} photos that the lists don't have")
    if found.several:
        more = found.several - len(found.several_names)
        names = ", ".join(found.several_names) + (f" and {more:,} more" if more else "")
        lines.append(f"several faces in {found.several:,}: {names}")
    if others := photos.ignored + photos.junk:
        lines.append(f"passed over {others:,} file{'s' * (others > 1)} other than images")
    return lines


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
