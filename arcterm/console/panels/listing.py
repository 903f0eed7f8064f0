"""The run list: its table, the line above, the run under the cursor."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from arcterm.runs.query.facts import RunFacts
from arcterm.runs.state import LIVE
from arcterm.show import words
from arcterm.show.lines import Line, Piece, pad, shorten, spark, spread, tail, wrap
from arcterm.text import byte_size, clean

__all__ = [
    "COLUMNS",
    "Line",
    "RunCounts",
    "SortOrder",
    "detail",
    "empty",
    "first_row",
    "heading_at",
    "table",
    "title",
]

_SPARK = 12


@dataclass(frozen=True)
class Column:
    """A column of the table, in terminals of at least `least` cells; `right` aligns numbers.

    It is sorted by `key` of the filter language, from the largest on if `falling`.
    """

    name: str
    width: int
    key: str
    right: bool = False
    falling: bool = False
    least: int = 0


NAME = Column("run", 0, "name")
COLUMNS = (
    NAME,
    Column("backbone", 10, "backbone", least=120),
    Column("loss fn", 15, "loss_fn", least=120),
    Column("dataset", 12, "dataset", least=120),
    Column("device", 9, "nproc", least=120, falling=True),
    Column("tags", 14, "tag", least=150),
    Column("state", 10, "state"),
    Column("step", 13, "step", right=True, falling=True),
    Column("loss", 7, "loss", right=True, least=72),
    Column("loss over steps", _SPARK + 3, "", least=136),
    Column("best %", 13, "best", right=True, falling=True),
    Column("size", 9, "size", right=True, falling=True, least=170),
    Column("age", 6, "age", right=True, least=72),
)


@dataclass(frozen=True)
class SortOrder:
    """How the list is sorted: by a column's name, `turned` against its usual direction."""

    column: str = "age"
    turned: bool = False

    @property
    def by(self) -> Column:
        """The column; that of the age for a name that there is none of."""
        return next((c for c in COLUMNS if c.name == self.column and c.key), COLUMNS[-1])

    @property
    def falling(self) -> bool:
        return self.by.falling != self.turned

    def next(self, columns: int) -> SortOrder:
        """Return the order by the column that is so many to the right, in its usual direction."""
        names = [c.name for c in COLUMNS if c.key]
        return SortOrder(names[(names.index(self.by.name) + columns) % len(names)])

    def chosen(self, name: str) -> SortOrder:
        """Return the order by a column, turned if it is the present one."""
        return SortOrder(name, not self.turned if name == self.by.name else False)

    @property
    def sign(self) -> str:
        return "▾" if self.falling else "▴"


_USUAL = SortOrder()


@dataclass(frozen=True)
class RunCounts:
    """How many runs there are, how many of them live, damaged or not read yet, and entries that are none."""

    all: int = 0
    live: int = 0
    damaged: int = 0
    unread: int = 0
    others: int = 0

    @classmethod
    def of(cls, runs: Sequence[RunFacts], others: int) -> RunCounts:
        states = Counter(run.state.state if run.known else "" for run in runs)
        live = sum(states[name] for name in LIVE)
        return cls(len(runs), live, states["damaged"], states[""], others)


def title(
    root: Path,
    counts: RunCounts,
    width: int,
    *,
    shown: int | None = None,
    marked: int = 0,
    order: SortOrder = _USUAL,
) -> list[Line]:
    """Where the runs are, and how many; `shown` is how many pass the filter, None if there is none."""
    count, others = counts.all, counts.others
    parts = [f"{count:,} run{'s' * (count != 1)}" if shown is None else f"{shown:,} of {count:,} shown"]
    parts += [f"{counts.live} live"] if counts.live else []
    parts += [f"{counts.damaged} damaged"] if counts.damaged else []
    parts += [f"{others} no run" + "s" * (others > 1)] if others else []
    parts += [f"reading {counts.unread:,}"] if counts.unread else []
    parts += [f"{marked} marked"] if marked else []
    parts += [f"by {order.by.name} {order.sign}"] if order != _USUAL else []
    while len(", ".join(parts)) > width - 12 and len(parts) > 1:
        parts.pop()
    right = ", ".join(parts)
    room = width - len(right) - 16
    return [spread([("arcterm", "head"), (tail(str(root), room), "dim")], [(right, "")], width)]


def table(
    runs: Sequence[RunFacts],
    cursor: int,
    width: int,
    height: int,
    marks: Mapping[str, Piece] | None = None,
    order: SortOrder = _USUAL,
) -> list[Line]:
    """A heading and as many runs as fit around the cursor; `marks` are the signs of marked ones, by id."""
    columns, name_width = _fitted(width)
    head: Line = [("  ", "")]
    for c in columns:
        by = c.name == order.by.name and order != _USUAL
        text = pad(c.name + order.sign * by, c.width or name_width, c.right)
        head.append((text if c is NAME else " " + text, "accent" if by else "dim"))
    lines = [head]
    first = first_row(len(runs), cursor, height)
    for index, facts in enumerate(runs[first : first + height - 1], first):
        mark = (marks or {}).get(facts.run.id)
        line = _row(facts, columns, name_width, mark)
        if index == cursor:
            signs: Line = [("▸", "cursor"), mark or (" ", "cursor")]
            line = [*signs, *((text, "cursor") for text, _ in line[2:])]
        lines.append(line)
    if not runs:
        lines.append([(" no run is found by this filter; esc shows all", "dim")])
    return lines


def heading_at(x: int, width: int) -> str:
    """The name of the column whose heading is at `x`, if the list can be sorted by it."""
    columns, name_width = _fitted(width)
    end = 2
    for c in columns:
        end += (c.width or name_width) + (c is not NAME)
        if x < end:
            return c.name if c.key else ""
    return ""


def first_row(count: int, cursor: int, height: int) -> int:
    """The first run drawn, so that the cursor is on the screen."""
    room = max(1, height - 1)
    return max(0, min(cursor - room // 2, count - room))


def _fitted(width: int) -> tuple[list[Column], int]:
    """The columns that fit, and the width of the name."""
    columns = [c for c in COLUMNS if width >= c.least]
    return columns, max(12, width - 3 - sum(c.width + 1 for c in columns if c is not NAME))


def _row(facts: RunFacts, columns: Sequence[Column], name_width: int, mark: Piece | None) -> Line:
    line: Line = [(" ", ""), mark or (" ", "")]
    values, roles = _cells(facts) if facts.known else ({"state": "…"}, {"state": "dim"})
    values["run"], roles["run"] = clean(facts.name), "bold" if facts.live else ""
    values["age"] = words.ago(time.time() - facts.created)
    for c in columns:
        text = pad(values.get(c.name, "" if not facts.known else words.DASH), c.width or name_width, c.right)
        line.append((text if c is NAME else " " + text, roles.get(c.name, "")))
    return line


def _cells(facts: RunFacts) -> tuple[dict[str, str], dict[str, str]]:
    """Texts and roles by column of a run that is read."""
    word, role = words.state(facts.word)
    c = facts.record.config if facts.record else None
    best, short = facts.best, words.short
    values = {
        "state": word,
        "step": f"{short(facts.step)}/{short(facts.steps)}" if facts.steps else short(facts.step),
        "loss": words.metric("loss", facts.loss),
        "loss over steps": sparkline(facts, _SPARK + 3),
        "best %": f"{best[0]} {words.percent(best[1])}" if best else words.DASH,
        "device": f"{c.nproc} × {'GPU' if c.device == 'cuda' else 'CPU'}" if c else words.DASH,
        "tags": " ".join(facts.notes.tags) or words.DASH,
        "size": words.DASH if facts.size is None else byte_size(facts.size),
    }
    roles = {"state": role, "tags": "accent", "loss over steps": "s1"}
    cells = c.columns if c else {}
    for name, cell in (("backbone", "backbone"), ("loss fn", "loss"), ("dataset", "dataset")):
        values[name] = clean(cells.get(cell, words.DASH))
    if facts.problems:
        values["best %"], roles["best %"] = words.problems(facts.problems), "warn"
    return values, roles


def sparkline(facts: RunFacts, width: int) -> str:
    """The loss from the first step to the last to be made, in blocks; blank where there is no step yet."""
    points = [(step, loss) for step, loss in facts.spark or () if math.isfinite(loss)]
    if not points:
        return " " * width
    last = max(facts.steps, points[-1][0], 1)
    made = max(1, math.ceil(points[-1][0] / last * width))
    found: list[list[float]] = [[] for _ in range(made)]
    for step, loss in points:
        found[min(made - 1, int(step / last * width))].append(loss)
    values, newest = [], points[0][1]
    for column in found:
        newest = sum(column) / len(column) if column else newest
        values.append(newest)
    return spark(values, made) + " " * (width - made)


def detail(facts: RunFacts, width: int, readonly: bool = False) -> list[Line]:
    """The run's id, loss and bytes on the disk, its command, its outcome, its tags and note.

    Where there are none the rest of a long outcome stands there, or the keys for them, unless the console is
    `readonly`.
    """
    size = byte_size(facts.size) if facts.size is not None else ""
    right: list[Line | Piece] = [(size, "dim")] if size else []
    if facts.spark and width >= 70:
        right.insert(0, (sparkline(facts, 24), "s1"))
    lines: list[Line] = [[("─" * width, "rule")]]
    lines.append(spread([(shorten(facts.run.id, width - 4), "dim")], right, width))
    asked, (text, role) = (_asked(facts), _outcome(facts)) if facts.known else ("reading …", ("", ""))
    lines.append([(" " + shorten(clean(asked), width - 2), "" if facts.known else "dim")])
    tags = " ".join(f"#{tag}" for tag in facts.notes.tags)
    note = clean(facts.notes.text)
    outcome = [shorten(clean(text), width - 2)] if tags or note else wrap(clean(text), width - 2)
    first, *rest = outcome
    lines.append([(f" {first}", role)])
    if rest:
        return [*lines, [(" " + shorten(" ".join(rest), width - 2), role)]]
    if not tags and not note and not readonly:
        return [*lines, [(" #", "key"), (" tags  ", "dim"), ("n", "key"), (" note", "dim")]]
    room = width - 3 - len(tags)
    return [*lines, [(f" {tags} " if tags else " ", "accent"), (shorten(note, room), "")]]


def _asked(facts: RunFacts) -> str:
    record = facts.record
    if record is None:
        return "what it was asked to do can't be read; D removes it"
    c = record.config
    if c.kind == "job":
        return c.command.removeprefix("arcterm ")
    program, *given = record.argv or [""]
    ours = Path(program).name in ("arcterm", "__main__.py")  # wherever it is installed
    return " ".join(given if ours else record.argv) or c.title


def _outcome(facts: RunFacts) -> tuple[str, str]:
    state, failure = facts.state, facts.state.failure
    kind = facts.record.config.kind if facts.record else ""
    if failure:
        who = failure.where.removeprefix("the ")
        cause = (failure.error or failure.cause) if kind == "job" else f"{who}: {failure.cause}"
        return " → ".join(filter(None, (cause.replace("\n", " "), failure.hint))), "bad"
    if state.reason:
        return state.reason, "bad" if state.state in ("lost", "damaged") else "dim"
    if kind == "job":
        phase = facts.phase
        doing = " ".join(filter(None, (phase.phase, words.counted(phase)))) if phase else ""
        return facts.made or doing, ""
    return words.left_out(*facts.skipped) if facts.skipped else "", "warn"


def empty(root: Path, width: int) -> list[Line]:
    """The next step where there is no run yet."""
    return [
        [],
        [(f" No runs in {tail(str(root), width - 14)} yet.", "bold")],
        [],
        [(" Press ", ""), ("N", "key"), (" for a new run, or type in a shell:", "")],
        [],
        [("   arcterm train tiny arcface", "accent")],
        [],
        [(" That trains a small model on drawn faces, on this machine's CPU too; ", "dim"), ("^g", "key")],
        [(" starts it here.", "dim")],
    ]
