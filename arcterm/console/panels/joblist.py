"""The list of jobs, and the paths and options of the one under the cursor."""

from __future__ import annotations

from collections.abc import Sequence

from arcterm_registry import JobSpec
from rich.cells import cell_len

from arcterm.console.panels.listing import first_row
from arcterm.show.lines import Line, pad, shorten, spread, wrap
from arcterm.text import clean

_NAME, _LONGEST = 10, 24


def title(width: int) -> list[Line]:
    return [spread([("jobs", "head"), ("make, check and reshape data sets, and more", "dim")], [], width)]


def table(jobs: Sequence[tuple[str, JobSpec]], cursor: int, width: int, height: int) -> list[Line]:
    """A heading and as many jobs as fit around the cursor: name and summary."""
    if not jobs:
        return [[("  looking for installed jobs …", "dim")]]
    titles = [_title(name, spec) for name, spec in jobs]
    room = min(_LONGEST, max(_NAME, *(cell_len(each) for each in titles)))
    first = first_row(len(jobs), cursor, height)
    last = min(first + height - 1, len(jobs))
    more = f"{first + 1}–{last} of {len(jobs)}" if last - first < len(jobs) else ""
    heading = pad(f"  {pad('job', room)} what it does", max(0, width - len(more) - 1))
    lines: list[Line] = [[(heading + more, "dim")]]
    for index, (_, spec) in enumerate(jobs[first:last], first):
        at = index == cursor
        row = (pad(titles[index], room), "cursor" if at else "bold")
        summary = (pad(" " + clean(spec.summary), width - room - 2), "cursor" if at else "")
        lines.append([("▸ " if at else "  ", "cursor" if at else ""), row, summary])
    return lines


def _title(name: str, spec: JobSpec) -> str:
    """The job's name, with that of its group if it isn't a job on data or another package's."""
    return clean(name if spec.group in ("data", "job", "") else f"{spec.group} {name}")


def detail(spec: JobSpec, width: int, height: int) -> list[Line]:
    """Summary, paths and options of a job."""
    lines: list[Line] = [[("─" * width, "rule")]]
    lines += [[(f" {row}", "bold")] for row in wrap(clean(spec.summary), width - 2)]
    for place in spec.paths:
        more = " (can be left out)" if place.optional else " (one or more)" if place.many else ""
        lines.append(
            [(f" {pad(place.name, _NAME)} ", "accent"), (shorten(clean(place.help) + more, width - 13), "")]
        )
    options = ", ".join(option.name.replace("_", " ") for option in spec.options)
    if options:
        lines.append([(f" {pad('options', _NAME)} ", "dim"), (shorten(options, width - 13), "dim")])
    return lines[:height]
