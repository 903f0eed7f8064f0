"""Panels of a job: progress, state, report."""

from __future__ import annotations

import time

from arcterm_registry.contracts import JobReport
from rich.cells import cell_len

from arcterm.console.panels.answer import command_lines
from arcterm.console.view import Stage, View
from arcterm.show import words
from arcterm.show.lines import Line, bar, heading, pad, shorten, spread, wrap
from arcterm.text import clean, duration

_NAME = 14


def status(view: View, width: int, height: int) -> list[Line]:
    """Name, state, process or duration, ETA."""
    word, role = words.state(view.word)
    eta = view.summary.phase_eta() if view.live else None
    ending = f"ETA {duration(eta) if eta is not None else words.DASH}"
    pid = f"pid {view.supervisor.pid} detached" if view.supervisor else ""
    took = f"took {duration(_seconds(view))}" if not view.live and view.stages else ""
    name = shorten(clean(view.record.config.title), max(12, width - 40))
    left = [(name, "bold"), (word, role), (pid or took, "dim"), (view.run.id, "dim")]
    right = [(ending, "bold")] if view.live else []
    return [spread([item for item in left if item[0]], right, width)]


def progress(view: View, width: int, height: int) -> list[Line]:
    """The bar, percent, phase, counts, speed, time left."""
    phase, done = view.summary.phase, view.state.state == "done"
    share = 1.0 if done else phase.done / phase.total if phase and phase.total else 0.0
    items = [(f"{share * 100:.0f}%", "bold")]
    if phase:
        items.append((clean(phase.phase), ""))
        items.append((words.counted(phase), ""))
    if view.live:
        eta = view.summary.phase_eta()
        items.append((words.rate(view.summary), ""))
        items.append((f"{duration(eta)} left" if eta else "", ""))
    items = [item for item in items if item[0]]
    taken = sum(len(text) + 2 for text, _ in items)
    role = words.state(view.word)[1]
    return [spread([bar(share, max(8, width - taken - 4), role), *items], [], width)]


def notice(view: View, width: int, height: int) -> list[Line]:
    """The most important sentence about the job."""
    text, role = _message(view)
    return [spread([(shorten(clean(text), width - 2), role)], [], width)]


def command(view: View, width: int, height: int) -> list[Line]:
    """The equivalent command line."""
    return command_lines(clean(view.record.config.command), width, height - 1)[:height]


def account(view: View, width: int, height: int, top: int = 0) -> list[Line]:
    """The report from line `top` on, else the failure, else the phases so far."""
    title, rows = _account(view, width)
    room = max(1, height - 1)
    top = min(top, max(0, len(rows) - room))
    shown = f"{top + 1}–{min(len(rows), top + room)} of {len(rows)}" if len(rows) > room else ""
    text, role = title
    return [heading(text, width, shown, role), *rows[top : top + room]][:height]


def last_top(view: View, width: int, height: int) -> int:
    """The first line of the account's last page."""
    return max(0, len(_account(view, width)[1]) - max(1, height - 1))


def _account(view: View, width: int) -> tuple[tuple[str, str], list[Line]]:
    if view.report is not None:
        return _report(view.report, width)
    if view.state.failure is not None:
        return _failure(view, width)
    text = view.waiting
    if not view.stages and not text:
        text = "the job's process is starting" if view.live else view.state.reason or "nothing was recorded"
    said: list[Line] = [[(f" {row}", "dim")] for row in wrap(clean(text), width - 2)] if text else []
    return ("progress", "head"), [*said, *(_stage(stage, width) for stage in view.stages)]


def _report(report: JobReport, width: int) -> tuple[tuple[str, str], list[Line]]:
    found = f": {words.problems(report.problems)}" if report.problems else ""
    rows: list[Line] = []
    for line in report.lines:
        text = clean(line).expandtabs(4)
        rows += [
            [(f" {row}", "")] for row in ([text] if cell_len(text) <= width - 2 else wrap(text, width - 2))
        ]
    if report.result:
        rows += [[], [(" made ", "dim"), (shorten(clean(report.result), width - 7), "good")]]
    return (f"report{found}", "warn" if report.problems else "good"), rows


def _failure(view: View, width: int) -> tuple[tuple[str, str], list[Line]]:
    found = view.state.failure
    if found is None:
        return ("failed", "bad"), []
    text = "\n".join(clean(row) for row in (found.error or found.cause).splitlines())
    rows: list[Line] = [[(f" {row}", "bold")] for row in wrap(text, width - 2)]
    if found.hint:
        rows += [[], *([(f" {row}", "accent")] for row in wrap(f"→ {clean(found.hint)}", width - 2))]
    trace = [clean(row) for row in found.traceback.splitlines() if row.strip()]
    if trace:
        rows += [[], *([(shorten(f" {row}", width), "dim")] for row in trace)]
    if found.log:
        rows += [[], [(shorten(f" log {found.log}", width), "dim")]]
    return (f"failed {words.ago(time.time() - view.state.t)} ago", "bad"), rows


def _stage(stage: Stage, width: int) -> Line:
    """A phase: its name, counts, duration."""
    seconds = stage.last.t - stage.began.t
    return [
        (" " + pad(clean(stage.last.phase), _NAME), ""),
        (pad(words.counted(stage.last), max(8, width - _NAME - 13)), ""),
        (f"  {duration(seconds):>9}", "dim"),
    ]


def _message(view: View) -> tuple[str, str]:
    """The first status message that is not empty, most important first, and its role."""
    quiet, failure, phase = view.silence(), view.state.failure, view.summary.phase
    ended = {"done": "done", "stopped": "stopped; R goes on where it was"}.get(view.state.state, "")
    if view.report is not None:
        made = f"made {view.report.result}" if view.report.result else "done: the report is below"
        ended = f"{words.problems(view.report.problems)} found" if view.report.problems else made
    over = (
        "bad"
        if view.word in ("lost", "damaged")
        else "warn"
        if view.report and view.report.problems
        else "dim"
    )
    sentences = (
        (view.problem, "bad"),
        ("reading the job …" if view.loading and phase is None and view.live else "", "dim"),
        (failure.cause if failure else "", "bad"),
        (f"no word for {duration(quiet)}" if quiet else "", "warn"),
        ("" if view.live else view.state.reason or ended, over),
        (f"stop asked for: it ends {view.record.config.stop_words.softly}" if view.stopping else "", "warn"),
        (view.waiting, "accent"),
        ("" if phase else f"{view.word}; its process is yet to say what it does", "accent"),
        (view.summary.messages[-1].text if view.summary.messages else "", ""),
        ("it runs by itself: leaving does not stop it", "dim"),
    )
    return next(((text, role) for text, role in sentences if text), ("", ""))


def _seconds(view: View) -> float:
    """Duration of the last attempt."""
    attempt = view.stages[-1].attempt
    began = next(stage.began.t for stage in view.stages if stage.attempt == attempt)
    return max(0.0, view.state.t - began)
