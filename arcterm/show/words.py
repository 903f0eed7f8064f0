"""Numbers, times and states as text."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from typing import Any

from arcterm.commandline import written
from arcterm.runs.events import Checkpoint, Phase, Skipped
from arcterm.runs.reading.summary import Summary
from arcterm.text import clean

DASH = "–"
METRICS = {
    "loss": "loss",
    "verification": "verification",
    "lr": "learning rate",
    "angle": "angle °",
    "accuracy": "accuracy %",
    "gradient_norm": "gradient norm",
    "images_per_second": "images/s",
    "data_wait": "data wait %",
}
"""Metrics that charts can show, in the order of the key that changes it."""

SHARES = ("accuracy", "data_wait")
"""Metrics that are recorded as fractions and shown in percent."""

SET_MARKS = "o+x#*@"
"""The sign of each verification set, for terminals without colour; the set's role is s1, s2, …"""

STATES = {
    "queued": ("◌", "dim"),
    "starting": ("◌", "accent"),
    "running": ("▶", "good"),
    "paused": ("‖", "warn"),
    "stopping": ("■", "warn"),
    "stopped": ("■", "warn"),
    "done": ("✓", "good"),
    "failed": ("✗", "bad"),
    "lost": ("?", "bad"),
    "damaged": ("!", "bad"),
}
"""The sign and the role of each state."""


def state(word: str) -> tuple[str, str]:
    """A state's sign and word, and its role."""
    sign, role = STATES.get(word, ("?", "bad"))
    return f"{sign} {word}", role


def metric(name: str, value: float | None) -> str:
    """A metric's value with as many digits as matter."""
    if value is None:
        return DASH
    if not math.isfinite(value):
        return {"nan": "NaN", "inf": "∞"}.get(str(value), "-∞")
    digits = {
        "lr": ".3g" if value >= 1e-3 or not value else ".1e",
        "images_per_second": ",.0f" if value >= 100 else ".1f",
        "angle": ".1f",
        "gradient_norm": ".3g",
    }
    if name in SHARES:
        return f"{value * 100:.1f}"
    loss = ".4f" if abs(value) < 1 else ".3f" if abs(value) < 10 else ".2f"
    return format(value, digits.get(name, loss))


def short(count: int) -> str:
    """``950``, ``48.2k``, ``1.8M``."""
    for size, letter in ((1_000_000, "M"), (10_000, "k")):
        if count >= size:
            return f"{count / (1000 if letter == 'k' else size):.1f}".removesuffix(".0") + letter
    return str(count)


def percent(fraction: float | None) -> str:
    """An accuracy as verification tables give it: ``99.62``; a dash where it is withheld."""
    return DASH if fraction is None else f"{fraction * 100:.2f}"


def score(accuracy: float | None, std: float | None) -> str:
    """An accuracy and its spread over the folds: ``0.9962 ± 0.0031``; a dash where they are withheld."""
    return DASH if accuracy is None or std is None else f"{accuracy:.4f} ± {std:.4f}"


def bytes_(count: float | None) -> str:
    """``31.2 GiB``, ``512 MiB``."""
    if count is None:
        return DASH
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def ago(seconds: float) -> str:
    """An age in one unit: ``40 s``, ``12 min``, ``5 h``, ``3 d``."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"


def counted(phase: Phase) -> str:
    """``1,200/4,000 images``; the first number alone if the total is unknown."""
    done = f"{phase.done:,}" if phase.done else ""
    counts = f"{phase.done:,}/{phase.total:,}" if phase.total else done
    return clean(f"{counts} {phase.detail}").strip()


def rate(summary: Summary) -> str:
    """Speed of the phase, ``980/s``; empty if unknown."""
    phase, left = summary.phase, summary.phase_eta()
    if phase is None or not left:
        return ""
    speed = (phase.total - phase.done) / left
    return f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s"


def skipped(summary: Summary) -> str:
    """``3 of 4,000 records skipped``; empty if none were."""
    last = max(summary.skipped.values(), key=lambda event: event.count, default=None)
    if last is None:
        return ""
    return left_out(max(last.count, len(summary.skipped)), last.total)


def left_out(count: int, total: int) -> str:
    """``3 of 4,000 records skipped``."""
    return f"{count:,} of {total:,} record{'s' * (total != 1)} skipped"


def skip(event: Skipped) -> str:
    """One skipped record, in safe characters: ``train.rec key 17 at byte 40216: not a whole image``."""
    return clean(f"{event.source}: {event.reason}")


def saved(event: Checkpoint) -> str:
    """``332.9 MiB in 4.0 s``, and ``; steps waited 0.2 s`` if they did not wait for all of it."""
    took = f"{event.bytes / 2**20:.1f} MiB in {event.seconds:.1f} s"
    beside = event.waited is not None and event.waited != event.seconds
    return f"{took}; steps waited {event.waited:.1f} s" if beside else took


def changed(settings: Mapping[str, Sequence[Any]]) -> str:
    """The changes of a resume: ``lr 0.1 → 0.05, nproc 2 → 1``; without what follows from others."""
    named = [
        f"{name} {_setting(old)} → {_setting(new)}"
        for name, (old, new) in settings.items()
        if name not in ("begins", "threads", "device", "durations")
    ]
    return ", ".join(named)


def _setting(value: Any) -> str:
    if isinstance(value, dict):
        return str(value.get("path") or value.get("paths") or value)
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return written(value)


def problems(count: int) -> str:
    """``1 problem``, ``12 problems``."""
    return f"{short(count)} problem{'s' * (count != 1)}"


def created(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time; 0 if it is none."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def tracked(tracker: Mapping[str, Any]) -> str:
    """How far a tracker of `describe` is: ``wandb done at step 400``, and why where it is not well."""
    error = f": {clean(str(tracker['error']))}" if tracker["error"] and tracker["state"] != "done" else ""
    gone = "; `arcterm resume` goes on" if tracker["state"] == "gone" else ""
    return f"{tracker['name']} {tracker['state']} at step {tracker['step']:,}{error}{gone}"
