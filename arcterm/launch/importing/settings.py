"""The settings of a log in another program's words, as far as they have a counterpart here."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.formats.trainlogs.logged import LoggedRun
from arcterm.formats.trainlogs.parts import global_batch, ranks_of
from arcterm.launch.recipes import arcface
from arcterm.launch.script2018 import losses, networks
from arcterm.launch.script2018.asked import ScriptOptions
from arcterm.launch.script2018.options import DEFAULTS
from arcterm.runs.events import Step

_UNKNOWN = "unknown"


def settings_of(path: Path, logged: LoggedRun) -> TrainConfig:
    """The settings of a log as far as they have a counterpart; what it leaves open is as plain as can be."""
    values = {name: _value(text) for name, text in logged.facts.items()}
    last = logged.last
    ranks = ranks_of(logged.facts)
    plain: dict[str, Any] = {
        "backbone": _UNKNOWN,
        "loss": _UNKNOWN,
        "dataset": _UNKNOWN,
        "device": "cuda",
        "nproc": ranks,
        "batch_size": max(1, global_batch(logged.facts) // ranks),
        "epochs": max(1, last.epoch if last else 1),
        "steps": max(1, logged.steps),
        "lr": next((e.lr for e in logged.attempts[0] if isinstance(e, Step) and 0 < e.lr < 1e6), 0.1),
    }
    own = _of_script(values) if logged.program == "MXNet" else _of_config(path, values)
    try:
        return TrainConfig(**plain | own)
    except (ConfigError, TypeError, ValueError):  # of what no version of the program would have taken
        return TrainConfig(**plain)


def _of_script(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of 2018's script, by its options."""
    # a log has every option, and some mean something by having been given
    asked = ScriptOptions(
        {
            name: value
            for name, value in values.items()
            if _fits(name, value) and (value != DEFAULTS[name] or name in ("margin_a", "margin_b"))
        }
    )
    own: dict[str, Any] = {}
    try:
        own["backbone"], own["backbone_options"] = networks.choose(asked)
    except ConfigError:
        own["backbone"] = str(values.get("network", _UNKNOWN))
    try:
        own["loss"], own["loss_options"] = losses.choose(asked)
    except ConfigError:
        own["loss"] = f"loss-type-{values['loss_type']}" if "loss_type" in values else _UNKNOWN
    if values.get("data_dir"):
        own |= {"dataset": "recordio", "dataset_options": {"path": str(values["data_dir"])}}
    falls = [int(step) for step in re.findall(r"\d+", str(values.get("lr_steps", "")))]
    if all(later > sooner for sooner, later in itertools.pairwise(falls)):
        own |= {"schedule": "multistep", "milestones": falls}
    given = {"mom": "momentum", "wd": "weight_decay", "lr": "lr", "verbose": "verify_every"}
    own |= {ours: values[name] for name, ours in given.items() if isinstance(values.get(name), int | float)}
    return own | {"optimizer": "legacy", "verify_sets": str(values.get("target", ""))}


def _fits(name: str, value: Any) -> bool:
    """Whether a value is of the type of that option of the script."""
    kind = type(DEFAULTS.get(name))
    return name in DEFAULTS and (isinstance(value, kind) or (kind is float and isinstance(value, int)))


def _of_config(path: Path, values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a config of arcface_torch that a log has."""
    if not values:
        return {}
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
    found = dict(arcface.translate(path, given).recipe.values)
    taken = ("backbone", "loss", "batch_size", "lr", "optimizer", "weight_decay", "sample_rate", "seed")
    options = ("backbone_options", "loss_options", "clip", "interclass_filter")
    own = {name: found[name] for name in (*taken, *options) if name in found}
    own.setdefault("backbone", str(given.get("network", _UNKNOWN)))
    if given.get("rec"):
        own |= {"dataset": "recordio", "dataset_options": {"path": str(given["rec"])}}
    return own


def _value(text: str) -> Any:
    """A value as Python writes it; a text that is none is one."""
    try:
        return ast.literal_eval(text[:500])
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text
