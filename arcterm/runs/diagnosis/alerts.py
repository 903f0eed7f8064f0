"""What a person should hear of a live run, found in its newest numbers, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import fmean, median
from typing import TYPE_CHECKING, Literal, NamedTuple

from arcterm.runs.events import Gpu, Rank

if TYPE_CHECKING:
    from arcterm.runs.reading.summary import Summary

HOT = 83.0
"""Degrees Celsius from which data-centre GPUs begin to slow down."""
_SLOWER, _SLOWER_MS = 1.25, 2.0
_LOW_CLOCK, _BUSY = 0.9, 50.0
_WAITING = 0.15
_STEPS = 50


class Concern(NamedTuple):
    """A sentence, and how bad it is."""

    level: Literal["warning", "error"]
    text: str


class Straggler(NamedTuple):
    """A rank that takes `own` milliseconds a step by itself, where the `others` take fewer (their median).

    `host` is the name of its host where the run has several.
    """

    rank: int
    own: float
    others: float
    waiting: float
    host: str = ""


def find(summary: Summary, gpus: Sequence[tuple[str, Gpu]]) -> list[Concern]:
    """The alerts of a live run, the worst first."""
    found = [*_loss(summary), *map(_straggling, stragglers(summary.ranks.values()))]
    return [*found, *_waiting(summary), *_hot(gpus), *_held_down(gpus)]


def stragglers(ranks: Iterable[Rank]) -> list[Straggler]:
    """The ranks whose steps take a quarter longer than those of the others, slowest first.

    Only what a rank does by itself is compared: at a collective all wait for the slowest.
    """
    own = {rank.rank: rank for rank in ranks if rank.times}
    found = []
    for number, rank in own.items():
        others = [sum(other.times.values()) for place, other in own.items() if place != number]
        spent, middle = sum(rank.times.values()), median(others or [math.inf])
        if spent > _SLOWER * middle and spent - middle > _SLOWER_MS:
            found.append(Straggler(number, spent, middle, rank.times.get("data", 0.0), rank.host))
    return sorted(found, key=lambda one: -one.own)


def _loss(summary: Summary) -> list[Concern]:
    last = summary.last_step
    if last is None or math.isfinite(float(last.loss)):
        return []
    return [Concern("error", f"the loss of step {last.step:,} is {last.loss}")]


def _straggling(one: Straggler) -> Concern:
    images = f"; {one.waiting:,.0f} ms of it waits for images" if one.waiting > one.own / 4 else ""
    times = f"{one.own:,.0f} ms a step by itself, the others {one.others:,.0f} ms"
    where = f" on {one.host}" if one.host else ""
    return Concern("warning", f"rank {one.rank}{where} is slow: {times}{images}")


def _waiting(summary: Summary) -> list[Concern]:
    shares = [share for share in summary.series["data_wait"][-_STEPS:] if math.isfinite(share)]
    if len(shares) < _STEPS or (mean := fmean(shares)) < _WAITING:
        return []
    return [
        Concern(
            "warning",
            f"{mean:.0%} of the last {_STEPS} steps were spent waiting for images: "
            "more --set loader_threads, or a faster disk",
        )
    ]


def _hot(gpus: Sequence[tuple[str, Gpu]]) -> list[Concern]:
    hot = [gpu for _, gpu in gpus if gpu.temperature is not None and gpu.temperature >= HOT]
    return [
        Concern(
            "warning", f"GPU {gpu.index} is at {gpu.temperature:.0f} °C and slows down: see to its cooling"
        )
        for gpu in hot
    ]


def _held_down(gpus: Sequence[tuple[str, Gpu]]) -> list[Concern]:
    """GPUs at work whose clock is a tenth below that of the others."""
    busy = [gpu for _, gpu in gpus if gpu.clock is not None and (gpu.utilisation or 0.0) > _BUSY]
    clocks = [gpu.clock for gpu in busy if gpu.clock is not None]
    usual = median(clocks) if len(clocks) > 2 else 0.0
    return [
        Concern(
            "warning",
            f"GPU {gpu.index} runs at {gpu.clock:,.0f} MHz, the others at {usual:,.0f} MHz: "
            "heat or power holds it down",
        )
        for gpu in busy
        if (gpu.clock or usual) < _LOW_CLOCK * usual
    ]
