"""The three lines on top: name and state, progress, status message."""

from __future__ import annotations

from collections import Counter

from arcterm.console.view import View
from arcterm.runs.reading.summary import best_result
from arcterm.show import words
from arcterm.show.lines import Line, bar, fit, heading, shorten, spread, wrap
from arcterm.text import clean, duration

_NARROW = 100
_WAITING_ROWS = 3
_ALERTS = {"warning": "warn", "error": "bad"}
_SIGNS = {"warn": "!", "bad": "✗", "dim": "·", "accent": "›"}


def device(view: View) -> str:
    """``4×H200``, ``2 CPU ranks``."""
    count = view.record.config.nproc
    if view.record.config.device == "cpu":
        return f"{count} CPU rank{'s' * (count > 1)}"
    names = Counter(gpu.name.removeprefix("NVIDIA ").split()[0] for _, gpu in view.gpus)
    return " + ".join(f"{n}×{name}" for name, n in names.items()) or f"{count} GPU{'s' * (count > 1)}"


def status(view: View, width: int, height: int, paused: bool = False) -> list[Line]:
    """Name, state, device, process, ETA."""
    word, role = words.state(view.word)
    eta = view.summary.eta() if view.word == "running" else None
    ending = f"ETA {duration(eta)}" if eta is not None else f"ETA {words.DASH}"
    pid = f"pid {view.supervisor.pid} detached" if view.supervisor else ""
    took = "" if view.live or not view.state.t else f"took {words.ago(view.seconds)}"
    right: list[Line | tuple[str, str]] = [("paused", "warn")] if paused else []
    name = shorten(view.run.name, max(12, width - 40))
    left = [(name, "bold"), (word, role), (device(view), ""), (pid or took, "dim")]
    if width >= _NARROW:
        left += [(f"attempt {view.summary.attempt or 1}", "dim"), (f"seed {view.config.seed}", "dim")]
        left += [(str(view.run.path), "dim")] if view.run.name != view.run.id else []
    return [spread([item for item in left if item[0]], [*right, (ending, "bold")], width)]


def progress(view: View, width: int, height: int) -> list[Line]:
    """The bar, percent, step, epoch, images a second."""
    last, steps = view.summary.last_step, view.steps
    share = view.step / steps if steps else 0.0
    of = f"step {view.step:,}/{steps:,}" if steps else f"step {view.step:,}"
    items = [(f"{share * 100:.0f}%", "bold"), (of, "")]
    if last:
        items.append((f"epoch {last.epoch}/{view.config.epochs}", ""))
        if view.live and not view.waiting:
            items.append((f"{words.metric('images_per_second', last.images_per_second)} images/s", ""))
    taken = sum(len(text) + 2 for text, _ in items)
    role = words.state(view.word)[1]
    return [spread([bar(share, max(8, width - taken - 4), role), *items], [], width)]


def notice(view: View, width: int, height: int) -> list[Line]:
    """The most important status message, in as many lines as there are, and the best verification."""
    best = best_result(view.summary)
    right = (
        (f"best {best[0]} {words.percent(best[1])} @{best[2]:,}", "good")
        if best
        else (f"best {words.DASH}", "dim")
    )
    text, role = _message(view)
    room = width - len(right[0]) - 4
    rows = wrap(text, room)
    first, *rest = [*rows[: height - 1], shorten(" ".join(rows[height - 1 :]), room)]
    return [spread([(first, role)], [right], width), *([(f" {row}", role)] for row in rest if row)]


def notice_rows(view: View, width: int) -> int:
    """The lines of the notice: what a run waits for, and how it ended, is read to its end.

    How it failed has a panel of its own.
    """
    whole = view.waiting or not (view.live or view.state.failure)
    return len(notice(view, width, _WAITING_ROWS)) if whole else 1


def _message(view: View) -> tuple[str, str]:
    """The first status message that is not empty, most important first, and its role."""
    return next(iter(sentences(view)), ("", ""))


def sentences(view: View) -> list[tuple[str, str]]:
    """What there is to say of the run, in words with a role each, most important first."""
    quiet, failure = view.silence(), view.state.failure
    reading = view.loading and view.summary.last_step is None
    silent = f"no event for {duration(quiet)}; last step {view.step:,}" if quiet else ""
    stopping = "stop asked for: it ends after a checkpoint" if view.stopping and view.live else ""
    waiting = "" if view.summary.last_step else f"{view.word}; the first step is yet to come"
    warnings = [m for m in view.summary.messages if m.level != "info"]
    said = (
        (view.problem, "bad"),
        ("reading the run …" if reading else "", "dim"),
        (failure.cause if failure else "", "bad"),
        (view.state.reason if view.word == "paused" else "", "warn"),
        (silent, "warn"),
        ("" if view.live else view.state.reason or _ended(view), _ended_role(view)),
        (stopping, "warn"),
        (view.waiting, "accent"),
        (phase_text(view) if view.live else "", "accent"),
        (waiting if view.live else "", "accent"),
        *((alert.text, _ALERTS[alert.level]) for alert in view.alerts),
        (words.skipped(view.summary), "warn"),
        (_unwell(view), "warn"),
        *((message.text, "warn") for message in reversed(warnings)),
    )
    return [(clean(text), role) for text, role in said if text]


def alerts(view: View, width: int, height: int) -> list[Line]:
    """All that is to be said of the run, wrapped; empty where there is nothing."""
    found = sentences(view)
    lines = [heading("alerts", width)] if found else []
    for text, role in found:
        first, *rest = wrap(text, max(8, width - 3))
        lines += [
            [(f" {_SIGNS.get(role, ' ')} ", role), (first, role)],
            *([(f"   {row}", role)] for row in rest),
        ]
    return fit(lines, height)


def _unwell(view: View) -> str:
    """The first tracker that does not get the numbers."""
    unwell = [each for each in view.trackers if each["state"] in ("failing", "failed", "gone")]
    return words.tracked(unwell[0]) if unwell else ""


def phase_text(view: View) -> str:
    """The phase beside training: ``verify lfw 3/5``."""
    phase, last = view.summary.phase, view.summary.last_step
    if phase is None or phase.phase in ("", "training") or (last and last.t > phase.t):
        return ""
    count = f"{phase.done:,}/{phase.total:,}" if phase.total else ""
    return " ".join(filter(None, (phase.phase, phase.detail, count)))


def _ended_role(view: View) -> str:
    if view.word in ("lost", "damaged"):
        return "bad"
    return "warn" if view.word == "done" and view.state.reason else "dim"


def _ended(view: View) -> str:
    saved = view.summary.checkpoints
    begins = f"goes on from step {saved[-1].step:,}" if saved else "begins again: nothing was saved yet"
    return {"done": "all steps made", "stopped": f"stopped; R {begins}"}.get(view.state.state, "")
