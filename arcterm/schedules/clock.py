"""Epochs in steps: the settings of a training that are times, worked out for its data and batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from arcterm import samples
from arcterm.errors import ConfigError
from arcterm.overrides import indices
from arcterm.samples import Begin
from arcterm.schedules.durations import epochs_of
from arcterm.schedules.ramp import RAMPS, parse_points

INTERVALS = ("verify_every", "checkpoint_every")
"""Settings that are an interval."""
TIMES = (*INTERVALS, "warmup", "milestones", *RAMPS)
"""Settings that may count epochs."""


class Clock(NamedTuple):
    """The epochs of a training of `steps` steps: `images` in each, of which a step takes `batch`.

    `begins` is where batches of this size begin.
    """

    begins: Begin
    images: int
    batch: int
    steps: int

    def step(self, time: int | float) -> int:
        """Return the step after which `time` has passed: a float counts epochs, an int steps."""
        if isinstance(time, int):
            return time
        return samples.step_at(self.begins, self.images, self.batch, time)

    def interval(self, value: int | str) -> int:
        """Return how many steps an interval takes, at least 1; a text counts epochs."""
        if isinstance(value, str):
            return max(1, round((epochs_of(value) or 0) * (self.images // self.batch)))
        return value

    def share(self, value: float | str) -> float:
        """Return the share of the steps that a warm-up takes; raises `ConfigError` if it takes all."""
        if not isinstance(value, str) and value < 1:
            return value
        last = self.step(epochs_of(value) or 0.0) if isinstance(value, str) else int(value)
        if last >= self.steps:
            raise ConfigError(
                f"a warm-up of {last:,} steps leaves none of the run's {self.steps:,}",
                "give a shorter --set warmup, e.g. warmup=0.1, a share of the steps",
            )
        return last / self.steps


def parse_times(text: str, name: str) -> list[int | float]:
    """Parse ``1000,5e``, times after the start: epochs are floats. `ConfigError` names the setting `name`."""
    found: list[int | float] = []
    for part in text.split(","):
        epochs = epochs_of(part)
        found += indices(part, name) if epochs is None else [epochs]
    return found


def worked_out(asked: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """Return the settings in `asked` that are times, in steps, and ``durations``, texts of some of them.

    Those are the ones whose steps change where epochs, or the whole training, become longer or shorter.
    """
    given = {name: asked[name] for name in TIMES if asked.get(name) not in (None, "")}
    found: dict[str, Any] = {name: clock.interval(given[name]) for name in INTERVALS if name in given}
    if "warmup" in given:
        found["warmup"] = clock.share(given["warmup"])
    if "milestones" in given:
        found["milestones"] = [clock.step(time) for time in parse_times(given["milestones"], "milestones")]
    found |= {name: _points(given[name], name, clock) for name in RAMPS if name in given}
    kept = {name: value for name, value in given.items() if _follows(name, value)}
    return found | {"durations": {name: f"{v:g}" if isinstance(v, float) else v for name, v in kept.items()}}


def _follows(name: str, value: Any) -> bool:
    """Whether the steps of a setting follow from the length of an epoch or of the training."""
    if name == "warmup" and not isinstance(value, str):
        return bool(value >= 1)
    if name in RAMPS:
        return any(isinstance(point.time, float) for point in parse_points(value, name))
    return isinstance(value, str) and "e" in value


def _points(text: str, name: str, clock: Clock) -> str:
    """Return a ramp's text with its times in steps; raises `ConfigError` if they fall."""
    points = parse_points(text, name)
    steps = [clock.step(point.time) for point in points]
    if steps != sorted(steps):
        raise ConfigError(f"the times of {name} {text[:60]} fall", f"give --set {name} in rising order")
    return ",".join(f"{step}:{point.value:.10g}" for step, point in zip(steps, points, strict=True))
