"""A training as another program's log has it, in the events of this one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from arcterm.runs.events import AnyEvent, Real, Start, Step, Verify

Program = Literal["MXNet", "arcface_torch", "TensorBoard"]
NAME_A_LOG = "name a log or a folder of them"


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """One training of a log: `attempts` hold its events in the order of steps, each `t` in seconds.

    `dated`: times are seconds since 1970, by a clock whose zone no log names and UTC is taken for; else they
    begin at 0. `facts` are the program's own settings as it wrote them, `notes` what a person should know.
    """

    program: Program
    facts: dict[str, str]
    attempts: Sequence[Sequence[AnyEvent]]
    dated: bool
    notes: Sequence[str] = ()

    @property
    def last(self) -> Step | None:
        """The last step."""
        steps = [event for event in self.attempts[-1] if isinstance(event, Step)] if self.attempts else []
        return steps[-1] if steps else None

    @property
    def steps(self) -> int:
        """The step at which the log ends."""
        return next((event.steps for event in self.attempts[-1] if isinstance(event, Start)), 0)


@dataclass
class LoggedPoint:
    """One step as a log has it; what it does not say is NaN."""

    step: int
    epoch: int
    t: float = math.nan
    loss: float = math.nan
    accuracy: float = math.nan
    lr: float = math.nan
    speed: float = math.nan


@dataclass
class LoggedScore:
    """The result of one verification set at a step; what the log does not say is NaN."""

    set: str
    step: int
    t: float = math.nan
    accuracy: float = math.nan
    std: float = math.nan
    xnorm: float = math.nan
    pairs: int = 0
    seconds: float = 0.0


@dataclass
class LoggedStart:
    """What one start of a program wrote: points by step, scores by (set, step)."""

    points: list[LoggedPoint] = field(default_factory=list)
    scores: dict[tuple[str, int], LoggedScore] = field(default_factory=dict)
    start: int = 0

    def events(self, batch: int, ranks: int) -> list[AnyEvent]:
        """Return its events; without times those follow from the speed, and begin at 0."""
        _date(self.points, batch)
        last = max([p.step for p in self.points] + [s.step for s in self.scores.values()], default=0)
        first = self.points[0].t if self.points else 0.0
        found: list[AnyEvent] = [_step(point, batch) for point in self.points]
        found += [_verify(score, self.points) for score in self.scores.values() if _is_finite(score.accuracy)]
        found.sort(key=lambda event: (getattr(event, "step", 0), isinstance(event, Verify)))
        begin = Start(
            t=first, rank=0, world_size=ranks, host="", pid=0, device="", step=self.start, steps=last
        )
        return [begin, *found]


def _date(points: list[LoggedPoint], batch: int) -> None:
    """Fill in times that the log lacks: those of the images since the point before, at the speed."""
    t, step = 0.0, points[0].step if points else 0
    for point in points:
        if math.isnan(point.t):
            pace = batch / point.speed if point.speed > 0 else 0.0
            point.t = t + (point.step - step) * pace
        t, step = point.t, point.step


def _step(point: LoggedPoint, batch: int) -> Step:
    return Step(
        t=point.t,
        step=point.step,
        epoch=point.epoch,
        loss=_real(point.loss),
        accuracy=_real(point.accuracy),
        angle="nan",
        lr=0.0 if math.isnan(point.lr) else point.lr,
        images_per_second=point.speed if _is_finite(point.speed) else 0.0,
        samples=point.step * batch,
    )


def _verify(score: LoggedScore, points: Sequence[LoggedPoint]) -> Verify:
    before = [point.t for point in points if point.step <= score.step][-1:] if math.isnan(score.t) else []
    return Verify(
        t=score.t if not math.isnan(score.t) else before[0] if before else 0.0,
        step=score.step,
        set=score.set,
        pairs=score.pairs,
        accuracy=score.accuracy,
        std=score.std if _is_finite(score.std) else None,
        xnorm=_real(score.xnorm),
        threshold=None,
        seconds=score.seconds,
    )


def _real(value: float) -> Real:
    return value if math.isfinite(value) else str(value)


def _is_finite(value: float) -> bool:
    return math.isfinite(value)
