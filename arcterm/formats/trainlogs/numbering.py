"""Steps of MXNet's logs, which count batches anew in each epoch."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from arcterm.formats.trainlogs.logged import LoggedPoint


class SpeedLine(NamedTuple):
    """A line of MXNet's Speedometer: the `batch` of its epoch, from 0, and means since the line before."""

    epoch: int
    batch: int
    t: float
    speed: float
    values: dict[str, float]
    lr: float


@dataclass
class Anchor:
    """A line that has both: after `batch` of `epoch`, from 0, `step` steps were made."""

    epoch: int
    batch: int
    step: int


def number_steps(
    batches: Sequence[SpeedLine], anchors: Sequence[Anchor], facts: dict[str, str]
) -> list[LoggedPoint]:
    """Return the points of `batches` with their steps.

    The step at which an epoch begins is exact where an anchor lies in it. Others follow from their neighbours
    and the length of an epoch, which is that between anchors, or the largest batch that a whole epoch had.
    """
    begins = {a.epoch: a.step - a.batch - 1 for a in anchors}
    length = _length(batches, begins)
    first = batches[0].epoch
    points: list[LoggedPoint] = []
    for batch in batches:
        if batch.epoch not in begins:
            near = min(begins, key=lambda epoch: abs(epoch - batch.epoch), default=None)
            base, from_epoch = (0, first) if near is None else (begins[near], near)
            begins[batch.epoch] = base + (batch.epoch - from_epoch) * length
        step = begins[batch.epoch] + batch.batch + 1
        loss = batch.values.get("lossvalue", batch.values.get("train-lossvalue", math.nan))
        accuracy = batch.values.get(
            "acc", batch.values.get("train-acc", batch.values.get("accuracy", math.nan))
        )
        if points and step <= points[-1].step:  # of an epoch shorter than the others
            step = points[-1].step + 1
        points.append(LoggedPoint(step, batch.epoch + 1, batch.t, loss, accuracy, batch.lr, batch.speed))
    return points


def _length(batches: Sequence[SpeedLine], begins: dict[int, int]) -> int:
    """The steps of an epoch."""
    known = sorted(begins.items())
    gaps = [
        (later - sooner) / (epoch - before) for (before, sooner), (epoch, later) in itertools.pairwise(known)
    ]
    if gaps:
        return max(1, round(statistics.median(gaps)))
    longest: dict[int, int] = {}
    for batch in batches:
        longest[batch.epoch] = max(batch.batch + 1, longest.get(batch.epoch, 0))
    whole = list(longest.values())[:-1] or list(longest.values())
    return max(whole, default=1)
