"""Runs side by side: the legend of their signs, what differs in their configs, their best verifications."""

from __future__ import annotations

from collections.abc import Sequence

from arcterm.runs.query.facts import RunFacts
from arcterm.show import comparison, words
from arcterm.show.lines import Line, Piece, heading, pad, shorten, spread, width_of
from arcterm.text import clean

_KEY, _LEAST = 18, 9
_STEPS_FROM = 76


def title(runs: Sequence[RunFacts], baseline: int, axis: str, width: int, reading: int = 0) -> list[Line]:
    """How many runs, against which, over which x axis, and how many are not read to the end."""
    if not runs:
        return [spread([("compare", "head"), ("no run is marked", "dim")], [], width)]
    right = f"x by {axis}" + (f", reading {reading}" if reading else "")
    base = f"baseline {shorten(clean(runs[baseline].name), max(8, width - 48))}"
    count = f"compare {len(runs)} run{'s' * (len(runs) != 1)}"
    return [spread([(count, "head"), (base, "dim")], [(right, "")], width)]


def empty(width: int) -> list[Line]:
    """The next step where no run is marked."""
    return [
        [],
        [(" No run is marked.", "bold")],
        [],
        [
            (" Press ", ""),
            ("1", "key"),
            (" for the list of runs, ", ""),
            ("space", "key"),
            (" on each run", ""),
        ],
        [(" that you want to compare, then ", ""), ("3", "key"), (" or ", ""), ("c", "key"), (".", "")],
        [],
        [("   arcterm diff RUN RUN …", "accent"), ("   in a shell shows what differs", "dim")],
    ]


def legend(
    runs: Sequence[RunFacts], looks: Sequence[Piece], cursor: int, baseline: int, width: int, height: int
) -> list[Line]:
    """A row for each run: its sign in its colour, name, state, steps, last loss, best verification."""
    first = first_shown(len(runs), cursor, height)
    lines: list[Line] = []
    for index, run in enumerate(runs[first : first + height], first):
        word, role = words.state(run.word)
        best = (
            f"{run.best[0]} {words.percent(run.best[1])} @{words.short(run.best[2])}"
            if run.best
            else words.DASH
        )
        cells = [(pad(word, 10), role)]
        if width >= _STEPS_FROM:
            cells.append((pad(f"{words.short(run.step)}/{words.short(run.steps)}", 13, True), ""))
        cells += [(pad(words.metric("loss", run.loss), 7, True), ""), (pad(best, 19, True), "")]
        room = max(10, width - 10 - width_of(cells) - len(cells))
        name = pad(clean(run.name), room)
        mark = "▸" if index == cursor else " "
        base = ("base" if index == baseline else "    ", "accent")
        line: Line = [
            (mark, "accent"),
            looks[index],
            (f" {name}", "bold" if index == cursor else looks[index][1]),
        ]
        lines.append([*line, *((f" {text}", role) for text, role in cells), (" ", ""), base])
    return lines


def first_shown(count: int, cursor: int, height: int) -> int:
    """The first run of the legend that is drawn, so that the cursor is seen."""
    return max(0, min(cursor - height // 2, count - height))


def settings(
    runs: Sequence[RunFacts], looks: Sequence[Piece], width: int, height: int, every: bool, first: int = 0
) -> list[Line]:
    """What differs in the configs, or `every` setting: a column for each run, from row `first` on."""
    rows = [row for row in comparison.settings(runs) if every or row.differs]
    columns = _columns(width - _KEY, len(runs))
    few = f"{len(columns)} of {len(runs)} runs, " if len(columns) < len(runs) else ""
    first, place = _part(first, height - 1, len(rows))
    name = "all settings" if every else "what differs"
    lines = [heading(name, width, f"{few}{place}" if rows else "")]
    if not rows:
        return [
            *lines,
            [(" nothing: all settings are the same" if len(runs) > 1 else " one run alone", "dim")],
        ]
    for row in rows[first : first + height - 1]:
        cells: Line = [(pad(f" {clean(row.key)}", _KEY), "dim")]
        for value, (mark, role) in zip(row.values[: len(columns)], looks, strict=False):
            text = words.DASH if value is None else clean(value) or "none"
            cells += [(mark, role), (pad(f" {text}", columns[0] - 1), "")]
        lines.append(cells)
    return lines


def results(
    runs: Sequence[RunFacts], looks: Sequence[Piece], baseline: int, width: int, height: int, first: int = 0
) -> list[Line]:
    """The best of each verification set for each run, and by how much it is better than the baseline."""
    found = comparison.results(runs)
    count, room = len(found) * len(runs), height - 1
    first, place = _part(first, room, count)
    lines: list[Line] = []
    for result in found:
        for index, best in enumerate(result.best):
            against = comparison.signed(result.difference(index, baseline))
            role = "good" if against.startswith("+") else "bad" if against.startswith("-") else "dim"
            begins = index == 0 or len(lines) == first
            named = pad(f" {clean(result.name)}", 12) if begins else " " * 12
            text = pad(comparison.score(best), 14, True)
            lines.append([(named, ""), looks[index], (f" {text}", ""), (pad(against, 8, True), role)])
    notes = ["against baseline"] if len(runs) > 1 else []
    notes += [place] if count > room else []
    title = heading("best %", width, ", ".join(notes))
    return [title, *(lines[first : first + room] or [[(" no verification yet", "dim")]])]


def _part(first: int, room: int, count: int) -> tuple[int, str]:
    """The first of the rows that are seen, so that none stays empty, and which they are: ``4–9 of 12``."""
    first = max(0, min(first, count - room))
    return first, f"{min(first + 1, count)}–{min(first + room, count)} of {count}"


def _columns(width: int, runs: int) -> list[int]:
    """Widths of the columns of as many runs as fit, each at least `_LEAST` cells wide."""
    shown = max(1, min(runs, width // _LEAST))
    return [width // shown] * shown
