"""The margin and the scale of a loss as training goes on: points, and the straight lines between them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from arcterm_registry import Loss, OptionError

from arcterm.commandline import Value
from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.schedules.durations import epochs_of

RAMPS = {"margin_schedule": "margin", "scale_schedule": "scale"}
"""The settings that are a ramp, and the option of a loss that each changes."""

_STEPS = re.compile(r"[0-9]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,12})?|\.[0-9]{1,12}")


class Waypoint(NamedTuple):
    """The `value` that holds once `time` has passed: steps, or as a float epochs."""

    time: int | float
    value: float


class Ramp(tuple[Waypoint, ...]):
    """Points whose times are steps and do not fall; two at one time are a jump."""

    def at(self, step: int) -> float:
        """Return the value in `step`, from 1: before the first point and after the last it stays the same."""
        gone = step - 1
        before = [point for point in self if point.time <= gone]
        after = [point for point in self if point.time > gone]
        if not before or not after:
            return before[-1].value if before else after[0].value
        (start, low), (end, high) = before[-1], after[0]
        return low + (high - low) * (gone - start) / (end - start)


def parse_points(text: str, name: str) -> list[Waypoint]:
    """Parse ``0:0.2,5e:0.5``; raises `ConfigError` naming the setting `name`."""
    found = []
    for part in text.split(","):
        time, _, value = part.partition(":")
        epochs, steps = epochs_of(time), _STEPS.fullmatch(time.strip())
        if not _NUMBER.fullmatch(value.strip()) or (epochs is None and not steps):
            raise ConfigError(
                f"{name} {part.strip()[:40]!r} is no time and value",
                f"write --set {name}=0:0.2,5e:0.5, a value each from a step or an epoch on",
            )
        found.append(Waypoint(int(time) if epochs is None else epochs, float(value)))
    return found


def ramps(config: TrainConfig) -> dict[str, Ramp]:
    """Return the ramps of a training by the loss's option that each changes."""
    texts = {option: getattr(config, name) for name, option in RAMPS.items()}
    return {option: Ramp(parse_points(text, option)) for option, text in texts.items() if text}


def values(config: TrainConfig, step: int) -> dict[str, float]:
    """Return margin and scale in `step`, as far as they are scheduled."""
    return {option: ramp.at(step) for option, ramp in ramps(config).items()}


def check(given: Mapping[str, Any], loss: Loss, options: Mapping[str, Value]) -> None:
    """Raise `ConfigError` if `loss`, with its `options`, can't follow a ramp of the settings `given`."""
    name = given["loss"]
    for setting, changed in RAMPS.items():
        if not given[setting]:
            continue
        option = loss.option(changed) if changed in loss.scheduled else None
        if option is None:
            raise ConfigError(
                f"loss {name} has no {changed} that can change from step to step",
                f"leave out --set {setting}; `arcterm plugins loss {name}` lists what it has",
            )
        for point in parse_points(given[setting], setting):
            try:
                loss.check_together({**options, changed: option.check(point.value)})
            except (OptionError, ValueError) as error:
                raise ConfigError(f"{setting}, loss {name}: {error}", f"change --set {setting}") from None
