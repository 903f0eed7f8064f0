"""Small panels of facts: the latest of every metric, and what the run is."""

from __future__ import annotations

import math
from pathlib import Path

from arcterm.console.panels.verification import sign
from arcterm.console.view import View
from arcterm.runs.events import METRICS
from arcterm.show import words
from arcterm.show.lines import Line, heading, pad, shorten, spark, width_of

_NAME = 13
_VALUE = 8


def metrics(view: View, width: int, height: int, shown: str = "") -> list[Line]:
    """Name, latest value and recent shape of each metric; `shown` is the one on the main chart."""
    s = view.summary
    lines = [heading("metrics", width)]
    room = width - _NAME - _VALUE - 3
    for name in METRICS:
        values = view.history.series[name][-max(room, 1) :]
        last = view.record.number(getattr(s.last_step, name, None))
        role = "bad" if last is not None and not math.isfinite(last) else ""
        line: Line = [
            (
                ("▸" if name == shown else " ") + pad(words.METRICS[name], _NAME),
                "accent" if name == shown else "",
            ),
            (pad(words.metric(name, last), _VALUE, True), role),
        ]
        if room >= 4:
            line.append(("  " + spark(values, room - 1), "s1"))
        lines.append(line)
    if lost := sum(view.unreadable.values()):
        lines.append([(" " + pad("unreadable", _NAME), ""), (f" {lost:,} event lines", "warn")])
    if s.skipped:
        count = words.skipped(s).partition(" record")[0]
        lines.append([(" " + pad("skipped", _NAME), ""), (" " + shorten(count, room + _VALUE - 1), "warn")])
    for index, (name, results) in enumerate(s.verification.items()):
        best = s.best(name)
        row = [
            sign(index),
            (pad(name, _NAME - 1), ""),
            (pad(words.percent(results[-1].accuracy), _VALUE, True), ""),
        ]
        if best and room >= 8:
            row.append((f"  ↑{words.percent(best.accuracy)}", "good"))
        lines.append(row)
    return [*lines, *_checkpoint(view)][:height]


def strip(view: View, width: int, height: int, shown: str = "") -> list[Line]:
    """The latest of each set and of every metric but the one `shown`, in as few rows as they take."""
    sets = view.summary.verification.items()
    cells: list[Line] = [
        [sign(index), (f"{name} ", "dim"), (words.percent(results[-1].accuracy), "bold")]
        for index, (name, results) in enumerate(sets)
    ]
    for name in METRICS:
        last = view.record.number(getattr(view.summary.last_step, name, None))
        if name not in (shown, "images_per_second") and last is not None:  # the speed is in the progress
            role = "bold" if math.isfinite(last) else "bad"
            cells.append([(f"{words.METRICS[name]} ", "dim"), (words.metric(name, last), role)])
    saved = view.summary.checkpoints
    cells.append([("checkpoint ", "dim"), (f"@{saved[-1].step:,}" if saved else "none yet", "bold")])
    rows: list[Line] = [[]]
    for cell in cells:
        gap = 2 if rows[-1] else 1
        if width_of(rows[-1]) + gap + width_of(cell) > width and rows[-1]:
            rows.append([])
            gap = 1
        rows[-1] = [*rows[-1], (" " * gap, ""), *cell]
    return rows[:height]


def _checkpoint(view: View) -> list[Line]:
    saved = view.summary.checkpoints
    last = f"@{saved[-1].step:,} {words.bytes_(saved[-1].bytes)}" if saved else "none yet"
    return [[(" " + pad("checkpoint", _NAME), ""), (" " + last, "" if saved else "dim")]]


def facts(view: View, width: int, height: int) -> list[Line]:
    """The run's settings."""
    c, data = view.config, view.record.dataset
    made = f" {data.images:,} images, {data.classes:,} people" if data else ""
    schedule = c.schedule + (f" at {','.join(map(str, c.milestones))}" if c.milestones else "")
    schedule += f" to {c.lr * c.final_rate:g}" if c.final_rate else ""
    rows = {
        "backbone": f"{c.backbone} {_options(c.backbone_options)}",
        "loss": f"{c.loss} {_options(c.loss_options)}",
        "dataset": f"{c.dataset}{made}",
        "set aside": ", ".join(view.record.set_aside),
        "batch": f"{c.product} = {c.global_batch}",
        "schedule": f"lr {c.lr:g}  {schedule}",
        "triplets": _mined(view),
        "teacher": _teacher(view),
        "by step": _scheduled(view),
        "verify": f"every {c.verify_every:,} steps",
        "checkpoint": f"every {c.checkpoint_every:,} steps",
        "changed": _changed(view),
        "git": view.record.git[:12] + ("+dirty" if view.record.git.endswith("+dirty") else ""),
    }
    lines = [heading("run", width)]
    lines += [
        [(" " + pad(key, 11), "dim"), (shorten(text.strip(), width - 13), "")]
        for key, text in rows.items()
        if text.strip()
    ]
    return lines[:height]


def _changed(view: View) -> str:
    """The last change of settings; empty where nothing was changed."""
    if not view.changes:
        return ""
    last = view.changes[-1]
    return f"at step {last.step:,}: {words.changed(last.settings)}"


def _mined(view: View) -> str:
    """The last round of mining and how much of it still teaches; empty where nothing is compared."""
    last, rounds = view.summary.last_step, view.summary.mined
    active = f"{last.active:.0%} active" if last and last.active is not None else ""
    found = f"{rounds[-1].triplets:,} of {rounds[-1].pairs:,} pairs" if rounds else ""
    return "  ".join(filter(None, (active, found)))


def _teacher(view: View) -> str:
    """The teacher's file and how far its embeddings are; empty where there is none."""
    last = view.summary.last_step
    apart = f"{last.teacher:.4f} away  " if last and last.teacher is not None else ""
    return f"{apart}{Path(view.config.teacher).stem}" if view.config.teacher else ""


def _scheduled(view: View) -> str:
    """Margin and scale of the last step; empty where they stay the same."""
    last = view.summary.last_step
    now = {name: getattr(last, name) for name in ("margin", "scale")} if last else {}
    return "  ".join(f"{name} {value:.4g}" for name, value in now.items() if value is not None)


def _options(options: dict[str, bool | int | float | str]) -> str:
    return " ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in options.items())
