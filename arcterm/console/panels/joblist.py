"""The jobs on data to choose from, and what the one under the cursor takes."""

from __future__ import annotations

from collections.abc import Sequence

from arcterm.jobs import Task
from arcterm.show.lines import Line, pad, shorten, spread, wrap

_NAME = 10


def title(width: int) -> list[Line]:
    """What the screen is for."""
    return [spread([("data", "head"), ("jobs that make, check and reshape data sets", "dim")], [], width)]


def table(tasks: Sequence[Task], cursor: int, width: int, height: int) -> list[Line]:
    """A line per job: its name and what it does."""
    lines: list[Line] = [[("  " + pad("job", _NAME), "dim"), (" what it does", "dim")]]
    for index, task in enumerate(tasks):
        at = index == cursor
        row = (pad(task.name, _NAME), "cursor" if at else "bold")
        said = (pad(" " + task.summary, width - _NAME - 2), "cursor" if at else "")
        lines.append([("▸ " if at else "  ", "cursor" if at else ""), row, said])
    return lines[:height]


def detail(task: Task, width: int, height: int) -> list[Line]:
    """What a job does in full, its paths and its options."""
    lines: list[Line] = [[("─" * width, "rule")]]
    lines += [[(f" {row}", "bold")] for row in wrap(task.summary, width - 2)]
    for place in task.places:
        more = " (one or more)" if place.many else ""
        lines.append(
            [(f" {pad(place.name, _NAME)} ", "accent"), (shorten(place.help + more, width - 13), "")]
        )
    options = ", ".join(option.name.replace("_", " ") for option in task.options)
    if options:
        lines.append([(f" {pad('options', _NAME)} ", "dim"), (shorten(options, width - 13), "dim")])
    return lines[:height]
