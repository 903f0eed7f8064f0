"""The jobs to choose from, and what the one under the cursor takes."""

from __future__ import annotations

from collections.abc import Sequence

from arcterm_registry import JobSpec

from arcterm.show.lines import Line, pad, shorten, spread, wrap
from arcterm.text import clean

_NAME = 10


def title(width: int) -> list[Line]:
    """What the screen is for."""
    return [spread([("data", "head"), ("jobs that make, check and reshape data sets", "dim")], [], width)]


def table(jobs: Sequence[tuple[str, JobSpec]], cursor: int, width: int, height: int) -> list[Line]:
    """A line per job: its name and what it does."""
    lines: list[Line] = [[("  " + pad("job", _NAME), "dim"), (" what it does", "dim")]]
    for index, (name, spec) in enumerate(jobs):
        at = index == cursor
        row = (pad(clean(name), _NAME), "cursor" if at else "bold")
        said = (pad(" " + clean(spec.summary), width - _NAME - 2), "cursor" if at else "")
        lines.append([("▸ " if at else "  ", "cursor" if at else ""), row, said])
    return lines[:height]


def detail(name: str, spec: JobSpec, width: int, height: int) -> list[Line]:
    """What a job does in full, its paths and its options."""
    lines: list[Line] = [[("─" * width, "rule")]]
    lines += [[(f" {row}", "bold")] for row in wrap(clean(spec.summary), width - 2)]
    for place in spec.paths:
        more = " (one or more)" if place.many else ""
        lines.append(
            [(f" {pad(place.name, _NAME)} ", "accent"), (shorten(clean(place.help) + more, width - 13), "")]
        )
    options = ", ".join(option.name.replace("_", " ") for option in spec.options)
    if options:
        lines.append([(f" {pad('options', _NAME)} ", "dim"), (shorten(options, width - 13), "dim")])
    return lines[:height]
