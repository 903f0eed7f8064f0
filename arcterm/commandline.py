"""The command line equivalent to a form or a run, quoted for a shell."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from arcterm_registry import Option

from arcterm.settings import FLAGS, SETTINGS

Value = bool | int | float | str


def flag(name: str) -> str:
    """The command-line flag of a setting: ``batch_size`` → ``--batch-size``."""
    return "--" + name.replace("_", "-")


def written(value: Value) -> str:
    """A value as written on a command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def training(settings: Mapping[str, Any]) -> str:
    """``arcterm train BACKBONE LOSS …`` for `settings` (see `overrides.merge`)."""
    chosen = [str(settings.get(kind) or "") for kind in ("backbone", "loss")]
    words = ["arcterm", "train", *(filter(None, chosen) if settings.get("recipe") else chosen)]
    for key in ("recipe", "dataset", "name"):
        if settings.get(key):
            words += [flag(key), str(settings[key])]
    for option in SETTINGS:
        value = settings.get(option.name)
        usual = None if settings.get("recipe") else option.default  # which may be none of a recipe's
        if value not in (None, usual, ""):
            words += _setting(option, value)
    for group in ("loss", "backbone", "dataset", "track", "launcher"):
        for key, value in settings.get(f"{group}_options", {}).items():
            if value is None or value == "":
                continue
            direct = group == "loss" and key in ("margin", "scale")
            words += [flag(key), written(value)] if direct else ["--set", f"{group}.{key}={written(value)}"]
    return shlex.join(words)


def launching(settings: Mapping[str, Any]) -> str:
    """``--launcher NAME --launcher-set KEY=VALUE …`` of a job; empty for this machine."""
    words = ["--launcher", str(settings["launcher"])] if settings.get("launcher") else []
    for key, value in settings.get("launcher_options", {}).items():
        words += ["--launcher-set", f"{key}={written(value)}"]
    return shlex.join(words)


RESUME_FLAGS = ("nproc", "gpus", "batch_size", "lr", "epochs", "steps", "on_nan", "retries", "launcher")
"""The settings that have a flag of their own in ``arcterm resume``; others are reached by ``--set``."""


def resume(run: str, settings: Mapping[str, Any], *, accept_changed_data: bool = False) -> str:
    """``arcterm resume RUN …`` for what is asked to change."""
    words = ["arcterm", "resume", run]
    for name, value in settings.items():
        if isinstance(value, Mapping):
            group = name.removesuffix("_options")
            words += [w for key, given in value.items() for w in ("--set", f"{group}.{key}={written(given)}")]
            continue
        direct = name in RESUME_FLAGS or name == "dataset"
        words += [flag(name), written(value)] if direct else ["--set", f"{name}={written(value)}"]
    return shlex.join([*words, *["--accept-changed-data"] * accept_changed_data])


def _setting(option: Option, value: Value) -> list[str]:
    if option.name not in FLAGS or (option.type is bool and value is not True):
        return ["--set", f"{option.name}={written(value)}"]
    return [flag(option.name)] if option.type is bool else [flag(option.name), written(value)]


def job(
    group: str, name: str, paths: Sequence[str], options: Mapping[str, Value], named: Mapping[str, str] = {}
) -> str:
    """``arcterm GROUP NAME PATHS … --NAME PATH … OPTIONS``, the latter for the `named` paths."""
    words = ["arcterm", *filter(None, [group]), name, *(f"./{p}" if p.startswith("-") else p for p in paths)]
    for key, value in [*named.items(), *options.items()]:
        if isinstance(value, bool):
            words.append(flag(key) if value else f"--no-{flag(key)[2:]}")
        else:
            words += [flag(key), written(value)]
    return shlex.join(words)
