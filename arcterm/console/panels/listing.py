"""The run list: its table, the line above, the run under the cursor."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from arcterm.console.catalogue import Entry
from arcterm.show import words
from arcterm.show.lines import Line, pad, shorten, spread
from arcterm.text import byte_size, clean

__all__ = ["Line", "detail", "empty", "first_row", "table", "title"]

_WIDE = 120


@dataclass(frozen=True)
class Column:
    """A column of the table; `right` aligns numbers."""

    name: str
    width: int
    right: bool = False


_COLUMNS = (
    Column("state", 10),
    Column("step", 13, True),
    Column("loss", 7, True),
    Column("best %", 13, True),
    Column("age", 6, True),
)
_MORE = (Column("backbone", 10), Column("loss fn", 15), Column("dataset", 12), Column("device", 12))


def title(
    root: Path, entries: list[Entry] | None, shown: int, text: str, width: int, others: int = 0
) -> list[Line]:
    """Where the runs are, how many, how many live, and how many `others` there are no runs."""
    count = len(entries or [])
    live = sum(entry.live for entry in entries or [])
    numbers = f"{shown} of {count} shown" if text else f"{count} run{'s' * (count != 1)}"
    right = f"{numbers}, {live} live" if live else numbers
    if others:
        right += f", {others} no run" + "s" * (others > 1)
    room = width - len(right) - 16
    return [spread([("arcterm", "head"), (_tail(str(root), room), "dim")], [(right, "")], width)]


def table(entries: list[Entry], cursor: int, width: int, height: int) -> list[Line]:
    """A heading and as many runs as fit around the cursor."""
    columns = [*(_MORE if width >= _WIDE else ()), *_COLUMNS]
    name_width = max(12, width - 3 - sum(c.width + 1 for c in columns))
    head: Line = [("  " + pad("run", name_width), "dim")]
    head += [(" " + pad(c.name, c.width, c.right), "dim") for c in columns]
    lines = [head]
    first = first_row(len(entries), cursor, height)
    for index, entry in enumerate(entries[first : first + height - 1], first):
        line = _row(entry, columns, name_width)
        if index == cursor:
            line = [("▸ ", "cursor"), *((text, "cursor") for text, _ in line[1:])]
        lines.append(line)
    if not entries:
        lines.append([(" no run has all these words; esc shows all", "dim")])
    return lines


def first_row(count: int, cursor: int, height: int) -> int:
    """The first entry drawn, so that the cursor is on the screen."""
    room = max(1, height - 1)
    return max(0, min(cursor - room // 2, count - room))


def _row(entry: Entry, columns: list[Column], name_width: int) -> Line:
    word, role = words.state(entry.word)
    c = entry.record.config if entry.record else None
    steps = (
        f"{words.short(entry.step)}/{words.short(entry.steps)}" if entry.steps else words.short(entry.step)
    )
    best = entry.best
    values = {
        "state": word,
        "step": steps,
        "loss": words.metric("loss", entry.loss) if entry.known else "…",
        "best %": f"{best[0]} {words.percent(best[1])}" if best else words.DASH,
        "age": words.ago(time.time() - entry.created),
        "device": f"{c.nproc} × {'GPU' if c.device == 'cuda' else 'CPU'}" if c else words.DASH,
    }
    roles = {"state": role}
    cells = c.columns if c else {}
    for name, cell in (("backbone", "backbone"), ("loss fn", "loss"), ("dataset", "dataset")):
        values[name] = clean(cells.get(cell, words.DASH))
    if entry.problems:
        values["best %"], roles["best %"] = words.problems(entry.problems), "warn"
    line: Line = [("  ", ""), (pad(entry.name, name_width), "bold" if entry.live else "")]
    return line + [(" " + pad(values[c.name], c.width, c.right), roles.get(c.name, "")) for c in columns]


def detail(entry: Entry, width: int) -> list[Line]:
    """The run's id and its bytes on the disk, its command and its outcome."""
    rows = [(_asked(entry), ""), _outcome(entry)]
    size = f"{byte_size(entry.size)} " if entry.known else ""
    first = spread([(" " + shorten(entry.run.id, width - 14), "dim")], [(size, "dim")], width)
    lines: list[Line] = [[("─" * width, "rule")], first]
    return lines + [[(" " + shorten(clean(text), width - 2), role)] for text, role in rows]


def _asked(entry: Entry) -> str:
    record = entry.record
    if record is None:
        return "what it was asked to do can't be read; D removes it"
    c = record.config
    if c.kind == "job":
        return c.command.removeprefix("arcterm ")
    return " ".join(record.argv[1:] if record.argv[:1] == ["arcterm"] else record.argv) or c.title


def _outcome(entry: Entry) -> tuple[str, str]:
    state, failure = entry.state, entry.state.failure
    kind = entry.record.config.kind if entry.record else ""
    if failure:
        who = "launcher" if failure.rank is None else f"rank {failure.rank}"
        cause = (failure.error or failure.cause) if kind == "job" else f"{who}: {failure.cause}"
        return " → ".join(filter(None, (cause.replace("\n", " "), failure.hint))), "bad"
    if state.reason:
        return state.reason, "bad" if state.state in ("lost", "damaged") else "dim"
    return entry.said, "" if kind == "job" else "warn"


def empty(root: Path, width: int) -> list[Line]:
    """The next step where there is no run yet."""
    return [
        [],
        [(f" No runs in {_tail(str(root), width - 14)} yet.", "bold")],
        [],
        [(" Press ", ""), ("n", "key"), (" for a new run, or type in a shell:", "")],
        [],
        [("   arcterm train tiny arcface", "accent")],
        [],
        [(" That trains a small model on drawn faces, on this machine's CPU too.", "dim")],
    ]


def _tail(text: str, width: int) -> str:
    return text if len(text) <= width else "…" + text[len(text) - width + 1 :]
