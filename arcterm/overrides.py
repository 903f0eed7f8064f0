"""Settings and options as the user gives them: parsed, checked, merged over the defaults."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arcterm_registry import Declaration, Option, OptionError, nearest

from arcterm import tomlfile
from arcterm.commandline import Value, flag
from arcterm.errors import ConfigError
from arcterm.neighbours import near, way
from arcterm.ranges import parse_ranges
from arcterm.settings import BY_NAME, FLAGS

OPTION_GROUPS = ("backbone", "loss", "dataset")
_TAKE_OPTIONS = (*OPTION_GROUPS, "track", "launcher")
_MANY = 1_000_000
_CHOSEN = (*OPTION_GROUPS, "recipe", "name")


def check_setting(name: str, value: Value) -> Value:
    """`value` in the type of setting `name`; raises `ConfigError` naming the flag."""
    option = BY_NAME[name]
    try:
        return option.check(value)
    except OptionError as error:
        raise ConfigError(str(error), f"change {_way(name)}: {option.help}") from None


def _way(name: str) -> str:
    """The flag of a setting, or its ``--set``."""
    return flag(name) if name in FLAGS else f"--set {name}"


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, as `merge` takes them; raises `ConfigError` with the line at fault."""
    settings = tomlfile.read(path, "give --config a TOML file like that in docs/configuration.md")
    check_tables(settings, str(path))
    return check_settings(settings, str(path))


def check_tables(settings: Mapping[str, Any], source: str) -> None:
    """Raise `ConfigError` if a plug-in's options in a file are no table."""
    for group in _TAKE_OPTIONS:
        if not isinstance(settings.get(f"{group}_options", {}), dict):
            raise ConfigError(
                f"{source}: {group}_options is a table", f"write [{group}_options] and its keys below"
            )


def parse_assignments(assignments: Iterable[str]) -> dict[str, Any]:
    """``--set key=value`` texts as settings; ``loss.margin=0.3`` goes to that plug-in's options."""
    settings: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(
                f"--set {text!r} has no '='", "write --set key=value, e.g. --set weight_decay=1e-4"
            )
        group, dot, option = key.strip().partition(".")
        if dot and group in _TAKE_OPTIONS:
            settings.setdefault(f"{group}_options", {})[option] = value.strip()
        else:
            settings[key.strip()] = value.strip()
    return check_settings(settings, "--set")


def check_settings(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`settings` with each value parsed or checked; `ConfigError` names similar settings to unknown ones."""
    groups = [f"{group}_options" for group in _TAKE_OPTIONS]
    checked: dict[str, Any] = {}
    for key, value in settings.items():
        if key in groups:
            checked[key] = value
        elif key in _CHOSEN:
            checked[key] = _check_name(key, value, source)
        elif key not in BY_NAME:
            raise ConfigError(f"{source}: there is no setting {key!r}", _unknown_hint(key))
        else:
            checked[key] = _parse(key, value) if isinstance(value, str) else _check(key, value)
    return checked


def _check_name(key: str, value: Any, source: str) -> str:
    """Check a chosen name; raises `ConfigError` if it is a table or a number."""
    if not isinstance(value, str):
        advice = f"its options go below [{key}_options]" if key in OPTION_GROUPS else "put it in quotes"
        if key == "recipe" and isinstance(value, dict):
            raise ConfigError(f"{source} is a recipe", f"give it as --recipe {source}")
        raise ConfigError(f"{source}: {key} is text, not {value!r:.60}", f'write {key} = "…"; {advice}')
    return value


def _unknown_hint(key: str) -> str:
    """Hint for an unknown setting: similar ones, and all there are."""
    return (
        f"{_meant(near(key))}settings: {', '.join(sorted([*BY_NAME, *_CHOSEN]))}; a plug-in's own options "
        "are --set loss.KEY=VALUE, in a file KEY below [loss_options], and so for backbone, dataset, track "
        "and launcher"
    )


def _meant(names: Sequence[str]) -> str:
    words = [way(name) if name == "runs_dir" else name for name in names]
    return f"did you mean {' or '.join(words)}? " if words else ""


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with later layers over earlier ones; options of a plug-in are merged key by key."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if key.endswith("_options"):
                merged[key] = {**merged.get(key, {}), **value}
            else:
                merged[key] = value
        if {"epochs", "steps"} <= layer.keys():
            raise ConfigError("both --epochs and --steps are given", "give one of them")
        if "steps" in layer:  # a later layer that counts in steps overrides an earlier one in epochs
            merged.pop("epochs", None)
        elif "epochs" in layer:
            merged.pop("steps", None)
    return merged


def options_for(declared: Iterable[Option], given: Mapping[str, Any], owner: str) -> dict[str, Value]:
    """Every option of a plug-in: `given` texts or values over the defaults; raises `ConfigError`."""
    by_name = {option.name: option for option in declared}
    for name in given:
        if name not in by_name:
            known = nearest(name, by_name).replace("installed", "it has")
            if owner.partition(" ")[0] in OPTION_GROUPS and not known.startswith("did"):
                known = f"{_meant([key for key in near(name) if '.' not in key])}{known}"
            raise ConfigError(f"{owner} has no option {name!r}", known)
    values: dict[str, Value] = {}
    for name, option in by_name.items():
        try:
            value = given.get(name, option.default)
            value = option.parse(value) if isinstance(value, str) else value
            if value is not None:
                values[name] = option.check(value)
        except OptionError as error:
            advice = f"{option.help}; allowed: {option.range or 'any'}"
            if option.default not in (None, ""):
                advice += f"; the default is {option.default}"
            raise ConfigError(f"{owner}: {error}", advice) from None
    return values


def non_defaults(values: Mapping[str, Value], declared: Declaration | None) -> dict[str, Value]:
    """The values that differ from their option's default; empty text stands for a default of None."""
    defaults = {option.name: option.default for option in declared.options} if declared else {}
    return {
        name: value
        for name, value in values.items()
        if name not in defaults or (value != defaults[name] and (value != "" or defaults[name] is not None))
    }


def indices(text: str, name: str) -> list[int]:
    """Parse ``0,2`` or ``0-3``; raises `ConfigError` naming the flag `name`."""
    times = f"write --set {name}=1000,2000, or in epochs {name}=10e,15e"
    written = f"write {flag(name)} 0,2" if name in FLAGS else times
    try:
        ranges = parse_ranges(text.strip(" ,")) if text.strip(" ,") else []
    except ValueError:
        raise ConfigError(f"{_way(name)} {text[:40]!r} is not a list of numbers", written) from None
    if sum(map(len, ranges)) > _MANY:
        raise ConfigError(f"{_way(name)} {text[:40]!r} names too many", written)
    return [number for part in ranges for number in part]


def _parse(name: str, text: str) -> Value:
    try:
        return BY_NAME[name].parse(text)
    except OptionError as error:
        raise ConfigError(str(error), f"change {_way(name)}: {BY_NAME[name].help}") from None


def _check(name: str, value: Any) -> Value:
    if name in ("gpus", "milestones") and isinstance(value, list):
        return ",".join(map(str, value))
    return check_setting(name, value)
