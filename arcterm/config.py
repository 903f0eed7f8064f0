"""What a run is asked to do, frozen and checked; `settings` lists what can be set.

A `TrainConfig` is complete: every number that was left open has been worked out (`launch.preflight`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from arcterm_registry import Option, OptionError, nearest

from arcterm import tomlfile
from arcterm.errors import ConfigError
from arcterm.jobs import TASKS
from arcterm.neighbours import near, way
from arcterm.settings import FLAGS, SETTINGS

Value = bool | int | float | str

OPTION_GROUPS = ("backbone", "loss", "dataset")
_MANY = 1_000_000
_CHOSEN = (*OPTION_GROUPS, "name")
_CHECKED = ("nproc", "batch_size", "epochs", "steps", "lr", "warmup", "clip", "keep_last", "seed")
_BY_NAME = {option.name: option for option in SETTINGS}


class TrainConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="job", tag="train"):
    """A training run, complete. `batch_size` is per rank, `steps` the total, `gpus` empty on a CPU.

    Settings that another version of arcterm wrote and this one does not know are passed over when it is read.
    """

    backbone: str
    loss: str
    dataset: str
    backbone_options: dict[str, Value] = {}
    loss_options: dict[str, Value] = {}
    dataset_options: dict[str, Value] = {}
    device: Literal["cuda", "cpu"]
    nproc: int
    gpus: list[int] = []
    threads: int = 1
    batch_size: int
    epochs: int
    steps: int
    lr: float
    schedule: Literal["poly", "multistep"] = "poly"
    power: float = 2.0
    milestones: list[int] = []
    gamma: float = 0.1
    warmup: float = 0.0
    optimizer: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 5e-4
    clip: float = 0.0
    sample_rate: float = 1.0
    interclass_filter: float = 1.0
    head_precision: Literal["auto", "float32", "bfloat16"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    gradient_checkpointing: bool = False
    mirror: float | bool = 0.5
    crop: float = 0.0
    crop_area: float = 0.2
    jitter: float = 0.0
    jitter_strength: float = 0.125
    lowres: float = 0.0
    lowres_scale: float = 0.2
    jpeg: float = 0.0
    jpeg_low: int = 2
    jpeg_high: int = 20
    cutout: float = 0.0
    cutout_size: int = 40
    verify_every: int = 2000
    checkpoint_every: int = 2000
    keep_last: int = 3
    keep_best: int = 1
    seed: int = 0
    loader_threads: int = 2
    decoded_cache: int = 0
    max_broken: float = 0.001
    pretrained: str = ""
    head: Literal["drop", "keep"] = "drop"

    def __post_init__(self) -> None:
        if isinstance(self.mirror, bool):  # an older arcterm's yes and no
            msgspec.structs.force_setattr(self, "mirror", 0.5 * self.mirror)
        if self.jpeg_low > self.jpeg_high:
            raise ConfigError(
                f"jpeg_low {self.jpeg_low} is above jpeg_high {self.jpeg_high}", "change --set jpeg_low"
            )
        for name in _CHECKED:
            check_setting(name, getattr(self, name))
        if self.optimizer != "sgd" and self.sample_rate < 1:
            raise ConfigError(
                f"{self.optimizer} needs a gradient of every class at every step, and sample_rate "
                f"{self.sample_rate:g} leaves some out",
                "leave out --set sample_rate, or give --set optimizer=sgd",
            )
        if any(later <= sooner for sooner, later in zip(self.milestones, self.milestones[1:], strict=False)):
            raise ConfigError(
                f"milestones {self.milestones} do not rise", "give --set milestones in rising order"
            )
        if self.gpus and len(self.gpus) != self.nproc:
            raise ConfigError(
                f"{self.nproc} ranks on {len(self.gpus)} GPUs", "give --nproc or --gpus, not both"
            )

    @property
    def global_batch(self) -> int:
        """Images per step over all ranks."""
        return self.batch_size * self.nproc


class VerifyConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="job", tag="verify"):
    """A verification of one checkpoint: `train` is the config of the run that made it."""

    checkpoint: str
    train: TrainConfig
    device: Literal["cuda", "cpu"]
    nproc: int
    gpus: list[int] = []
    threads: int = 1
    batch_size: int


class DataConfig(msgspec.Struct, frozen=True, kw_only=True, tag_field="job", tag="data"):
    """A job on a data set: `task` of `tasks.TASKS`, its absolute `paths` in order, all of its `options`.

    An option that is missing is worked out by the task. It runs in one process, on the CPU.
    """

    task: str
    paths: list[str]
    options: dict[str, Value] = {}
    device: Literal["cpu"] = "cpu"
    nproc: int = 1
    gpus: list[int] = []
    threads: int = 1


JobConfig = TrainConfig | VerifyConfig | DataConfig


def check_setting(name: str, value: Value) -> Value:
    """`value` in the type of setting `name`; raises `ConfigError` naming the flag."""
    option = _BY_NAME[name]
    try:
        return option.check(value)
    except OptionError as error:
        raise ConfigError(str(error), f"change {_way(name)}: {option.help}") from None


def flag(name: str) -> str:
    """The command-line flag of a setting: ``batch_size`` → ``--batch-size``."""
    return "--" + name.replace("_", "-")


def _way(name: str) -> str:
    """How a setting is given on the command line."""
    return flag(name) if name in FLAGS else f"--set {name}"


def read_settings(path: Path) -> dict[str, Any]:
    """The settings of a TOML file, as `merge` takes them; raises `ConfigError` with the line at fault."""
    settings = tomlfile.read(path)
    for group in OPTION_GROUPS:
        if not isinstance(settings.get(f"{group}_options", {}), dict):
            raise ConfigError(
                f"{path}: {group}_options is a table", f"write [{group}_options] and its keys below"
            )
    return check_settings(settings, str(path))


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
        if dot and group in OPTION_GROUPS:
            settings.setdefault(f"{group}_options", {})[option] = value.strip()
        else:
            settings[key.strip()] = value.strip()
    return check_settings(settings, "--set")


def check_settings(settings: Mapping[str, Any], source: str) -> dict[str, Any]:
    """`settings` with each value parsed or checked; `ConfigError` names what an unknown key is near."""
    groups = [f"{group}_options" for group in OPTION_GROUPS]
    checked: dict[str, Any] = {}
    for key, value in settings.items():
        if key in groups:
            checked[key] = value
        elif key in _CHOSEN:
            checked[key] = _name(key, value, source)
        elif key not in _BY_NAME:
            raise ConfigError(f"{source}: there is no setting {key!r}", _neighbours(key))
        else:
            checked[key] = _parse(key, value) if isinstance(value, str) else _check(key, value)
    return checked


def _name(key: str, value: Any, source: str) -> str:
    """A name that was chosen; raises `ConfigError` if it is a table or a number."""
    if not isinstance(value, str):
        advice = f"its options go below [{key}_options]" if key in OPTION_GROUPS else "put it in quotes"
        raise ConfigError(f"{source}: {key} is text, not {value!r:.60}", f'write {key} = "…"; {advice}')
    return value


def _neighbours(key: str) -> str:
    """What a setting that isn't there is near, and what there is."""
    return (
        f"{_meant(near(key))}settings: {', '.join(sorted([*_BY_NAME, *_CHOSEN]))}; a plug-in's own options "
        "are --set loss.KEY=VALUE, in a file KEY below [loss_options], and so for backbone and dataset"
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


def task_config(name: str, paths: Sequence[str | Path], given: Mapping[str, Any]) -> DataConfig:
    """A job on data; raises `ConfigError` for an unknown task, a wrong number of paths or a bad option."""
    task = TASKS.get(name)
    if task is None:
        raise ConfigError(
            f"there is no job {name!r} on data", nearest(name, TASKS).replace("installed", "jobs")
        )
    least = len(task.places) + (1 if task.places[0].many else 0)
    if len(paths) < least or (len(paths) > least and not task.places[0].many):
        wanted = " ".join(p.name.upper() + ("…" if p.many else "") for p in task.places)
        raise ConfigError(
            f"data {name} takes {wanted}, not {len(paths)} paths",
            f"give {wanted}",
        )
    options = options_for(task.options, given, f"data {name}")
    for file in task.files:
        if options[file]:
            options[file] = _whole(str(options[file]))
    whole = [_whole(path) for path in paths]
    return DataConfig(task=name, paths=whole, options=options, threads=len(os.sched_getaffinity(0)))


def _whole(path: str | Path) -> str:
    """A path that means the same in every directory; raises `ConfigError` for the home of nobody."""
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:
        raise ConfigError(
            f"{path} is in the home of somebody who isn't known here", "write the path out"
        ) from None


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
            advice = f"{option.help}; allowed: {option.range or 'any'}; the default is {option.default}"
            raise ConfigError(f"{owner}: {error}", advice) from None
    return values


def indices(text: str, name: str) -> list[int]:
    """``0,2`` or ``0-3`` as whole numbers; raises `ConfigError` naming the flag `name`."""
    found: list[int] = []
    written = f"write {flag(name)} 0,2" if name in FLAGS else f"write --set {name}=1000,2000"
    many = ConfigError(f"{_way(name)} {text[:40]!r} names too many", written)
    try:
        for part in filter(None, text.replace(" ", "").split(",")):
            first, dash, last = part.partition("-")
            low, high = int(first), int(last if dash else first)
            if high - low + len(found) >= _MANY or high >= 1 << 63:
                raise many
            found += range(low, high + 1)
    except ValueError:
        raise ConfigError(f"{_way(name)} {text[:40]!r} is not a list of numbers", written) from None
    return found


def _parse(name: str, text: str) -> Value:
    try:
        return _BY_NAME[name].parse(text)
    except OptionError as error:
        raise ConfigError(str(error), f"change {_way(name)}: {_BY_NAME[name].help}") from None


def _check(name: str, value: Any) -> Value:
    if name in ("gpus", "milestones") and isinstance(value, list):
        return ",".join(map(str, value))
    return check_setting(name, value)
