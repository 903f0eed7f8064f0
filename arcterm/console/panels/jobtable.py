"""The table of jobs: what each does, how far it is, what came of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len

from arcterm.console.jobruns import JobRun
from arcterm.console.panels.listing import first_row
from arcterm.show import words
from arcterm.show.lines import Line, bar, pad, shorten, spread
from arcterm.text import clean, duration

_STATE, _SHARE, _TIME, _BAR = 10, 5, 9, 8
_BARS_FROM = 64


def title(jobs: Sequence[JobRun] | None, problem: str, width: int) -> list[Line]:
    """How many are under way, wait and are over."""
    if jobs is None:
        return [spread([("jobs", "head")], [("looking …", "dim")], width)]
    counts = Counter(
        "queued" if job.state.state == "queued" else "running" if job.live else "over" for job in jobs
    )
    parts = [f"{counts[name]} {name}" for name in ("running", "queued", "over") if counts[name]]
    right = ", ".join(parts) or "none yet"
    return [
        spread(
            [("jobs", "head"), (shorten(clean(problem), width - len(right) - 12), "bad")],
            [(right, "")],
            width,
        )
    ]


def table(jobs: Sequence[JobRun], cursor: int, width: int, height: int) -> list[Line]:
    """A heading and as many jobs as fit around the cursor."""
    bars = width >= _BARS_FROM
    name = max(12, width - 2 - _STATE - _SHARE - _TIME - 4 - (_BAR + 1) * bars)
    gap = " " * ((_BAR + 1) * bars)
    head = f"  {pad('job', name)} {pad('state', _STATE)} {gap}{'done':>{_SHARE}} {'age, ETA':>{_TIME}}"
    lines: list[Line] = [[(shorten(head, width), "dim")]]
    first = first_row(len(jobs), cursor, height)
    for number, job in enumerate(jobs[first : first + height - 1], first):
        line = _row(job, name, bars)
        if number == cursor:
            line = [("▸ ", "cursor"), (pad("".join(text for text, _ in line[1:]), width - 2), "cursor")]
        lines.append(line)
    return lines[:height]


def empty(width: int) -> list[Line]:
    """The next step where there is no job yet."""
    text = "Data sets are packed, checked, aligned; models are verified and scored. A job runs by itself."
    return [
        [],
        [(" No job yet.", "bold")],
        [],
        [
            (" Press ", ""),
            ("n", "key"),
            (" to choose one, or ", ""),
            ("7", "key"),
            (" to see the data sets.", ""),
        ],
        [],
        [(shorten(f" {text}", width), "dim")],
    ]


def _row(job: JobRun, name: int, bars: bool) -> Line:
    word, role = words.state(job.word)
    share = _share(job)
    shown = "" if share is None else f"{share * 100:.0f}%"
    if job.problems:
        shown, role = f"{words.short(job.problems)} !", "warn"
    line: Line = [
        ("  ", ""),
        (pad(clean(job.config.title), name), "bold" if job.live else ""),
        (" " + pad(word, _STATE) + " ", role),
    ]
    if bars:
        line += (
            [*bar(share or 0.0, _BAR, role), (" ", "")]
            if job.live and share is not None
            else [(" " * (_BAR + 1), "")]
        )
    return [
        *line,
        (pad(shown, _SHARE, right=True), role if job.problems else ""),
        (" " + pad(_time(job), _TIME, right=True), "dim"),
    ]


def _share(job: JobRun) -> float | None:
    """The share that is done of the phase; None if that is not known, or nothing to say."""
    phase = job.phase
    return phase.done / phase.total if job.live and phase is not None and phase.total else None


def _time(job: JobRun) -> str:
    """The time left of one under way, else the age."""
    if job.live:
        return "" if job.left is None else f"ETA {duration(job.left)}"
    ended = job.state.t or job.created
    return words.ago(time.time() - ended)


def detail(job: JobRun, width: int) -> list[Line]:
    """The run's id, and what it waits for or has made."""
    state = job.state
    failure = state.failure
    text, role = job.made, "good"
    if failure is not None:
        text, role = failure.cause, "bad"
    elif state.state == "queued":
        text, role = f"waits {state.reason}", "accent"
    elif not job.made:
        text, role = (
            state.reason or job.config.command,
            "bad" if state.state in ("lost", "damaged") else "dim",
        )
    ident = job.run.id
    room = max(0, width - cell_len(ident) - 5)
    return [spread([(shorten(clean(text), room), role)], [(ident, "dim")], width)]
