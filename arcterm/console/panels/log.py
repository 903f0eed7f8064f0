"""The log's tail with the run's warnings and skipped records, and the report of a failure."""

from __future__ import annotations

import time

from arcterm.console.view import View
from arcterm.runs.events import Message, Skipped
from arcterm.show import words
from arcterm.show.lines import Line, heading, shorten, wrap
from arcterm.text import clean

_LEVELS = {"warning": "warn", "error": "bad"}
_WARNINGS = 3


def log(view: View, width: int, height: int) -> list[Line]:
    """The newest lines, below warnings and skipped records of the run."""
    lines = [heading("output", width, view.log_name)]
    room = height - 1
    most = max(_WARNINGS, room // 2) if room >= 3 else (0 if view.log else room)
    warned = _warnings(view)[-most:] if most else []
    quiet = [m for m in view.summary.messages if m.level not in _LEVELS]
    shown = [_message(m, width) for m in warned]
    rows = view.log[-(room - len(shown)) :] if room > len(shown) else []
    if not rows:
        shown = [_message(m, width) for m in [*quiet, *warned][-room:]]
    if not rows and not shown:
        shown = [[(" no output yet" if view.live else " no output was recorded", "dim")]]
    return [*lines, *shown, *([(" " + shorten(row.expandtabs(4), width - 1), "")] for row in rows)][:height]


def rows_needed(view: View) -> int:
    """Rows that the panel needs, with its heading; 0 where nothing was put out."""
    rows = len(view.log) + len(view.summary.messages) + len(view.summary.skipped)
    return 1 + rows if rows else 0


def _warnings(view: View) -> list[Message]:
    """Warnings of the run and skipped records, in order of time."""
    found = [message for message in view.summary.messages if message.level in _LEVELS]
    found += [_skipped(event) for event in view.summary.skipped.values()]
    return sorted(found, key=lambda message: message.t)


def _skipped(event: Skipped) -> Message:
    return Message(t=event.t, level="warning", text=f"skipped {words.skip(event)}")


def _message(message: Message, width: int) -> Line:
    clock = time.strftime("%H:%M:%S", time.localtime(message.t))
    text = clean(f"{message.level} {message.text}".replace("\n", " "))
    return [(f" {clock} ", "dim"), (shorten(text, width - 10), _LEVELS.get(message.level, ""))]


def failure(view: View, width: int, height: int) -> list[Line]:
    """Why the run failed: likely cause, first failing rank, next step, end of the traceback."""
    found = view.state.failure
    if found is None:
        reason = wrap(_one_line(view.state.reason), width - 2)
        return [heading(view.state.state, width, role="bad"), *([(f" {row}", "")] for row in reason)][:height]
    first = found.where
    how = found.signal or (f"exit code {found.exit_code}" if found.exit_code is not None else "")
    title = clean(f"failed: {first} first" + (f", {how}" if how else ""))
    lines = [heading(title, width, words.ago(time.time() - view.state.t) + " ago", "bad")]
    hint = wrap(f"→ {_one_line(found.hint)}", width - 2) if found.hint else []
    cause = wrap(_one_line(found.cause), width - 2)
    lines += [[(f" {row}", "bold")] for row in cause[: max(1, height - 1 - len(hint))]]
    lines += [[(f" {row}", "accent")] for row in hint]
    if found.error and found.error not in found.cause:
        lines += [[(f" {row}", "")] for row in wrap(_one_line(found.error), width - 2)[:2]]
    end: list[Line] = [[(shorten(f" log {clean(found.log)}", width), "dim")]] if found.log else []
    trace = [clean(row) for row in found.traceback.splitlines() if row.strip()]
    room = max(0, height - len(lines) - len(end))
    lines += [[(shorten(f" {row}", width), "dim")] for row in trace[max(0, len(trace) - room) :]]
    return [*lines, *end][:height]


def _one_line(text: str) -> str:
    return clean(" ".join(text.split()))
