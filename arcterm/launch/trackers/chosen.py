"""The trackers that a training is to have: whether there are such, and whether they can work here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcterm_registry import Tracker, get

from arcterm.commandline import Value, written
from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.overrides import options_for
from arcterm.runs import trackers


def choose(text: str, given: Mapping[str, Any]) -> tuple[str, dict[str, Value]]:
    """The trackers that `text` names and the options `given` to them, checked; files are made absolute.

    Raises `ConfigError` for what can't be, `PluginError` for a name that nothing has.
    """
    chosen = trackers.names(text)
    if twice := [name for name in chosen if chosen.count(name) > 1]:
        raise ConfigError(f"--track names {twice[0]} more than once", "name each tracker once")
    declared = {name: get("tracker", name) for name in chosen}
    if given and not declared:
        key = next(iter(given))
        raise ConfigError(f"track.{key} is an option of a tracker, and there is none", "give --track too")
    for key in given:
        if not any(one.option(key) for one in declared.values()):
            known = sorted({option.name for one in declared.values() for option in one.options})
            owners = f"trackers {', '.join(chosen)} have" if len(chosen) > 1 else f"tracker {chosen[0]} has"
            hint = f"there is: {', '.join(known)}" if known else "leave it out"
            raise ConfigError(f"{owners} no option {key!r}", hint)
    checked: dict[str, Value] = {}
    for name, one in declared.items():
        checked |= _check(name, one, {key: given[key] for key in given if one.option(key)})
    return ",".join(chosen), checked


def _check(name: str, declared: Tracker, given: Mapping[str, Any]) -> dict[str, Value]:
    """The options `given` to one tracker, checked; raises `ConfigError` if it can't work here."""
    if missing := declared.missing():
        install = f"`{declared.install}`, or " if declared.install else ""
        raise ConfigError(
            f"tracker {name} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            "not installed",
            f"{install}leave {name} out",
        )
    values = options_for(declared.options, given, f"tracker {name}")
    for file in declared.files:
        if values.get(file):
            values[file] = str(Path(str(values[file])).expanduser().absolute())
    try:
        declared.check_together(values)
    except ValueError as error:
        problem, _, step = str(error).partition(" → ")
        raise ConfigError(f"tracker {name}: {problem}", step or "change --set track.KEY=VALUE") from None
    return {key: values[key] for key in given if key in values}


def notes(config: TrainConfig) -> list[str]:
    """A line of a plan that names the trackers and what they were given."""
    given = [f"track.{key} {written(value)}" for key, value in config.track_options.items()]
    named = ", ".join([*trackers.names(config.track), *given])
    return [f"track     {named}"] if named else []
