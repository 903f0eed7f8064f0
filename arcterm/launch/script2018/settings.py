"""From a command line of 2018 to the settings of `arcterm train` (see `overrides.merge`)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from arcterm.errors import ConfigError
from arcterm.formats.mxnet import params
from arcterm.formats.pairs.binfile import set_files
from arcterm.formats.pairs.setfiles import set_name
from arcterm.formats.recordio.facepack import read_property
from arcterm.launch.choice import Devices, devices_for
from arcterm.launch.script2018 import losses, networks
from arcterm.launch.script2018.asked import ScriptOptions
from arcterm.overrides import merge

_MANY = 20_000  # people above which SphereFace annealed later and slower
_FREEZE = 5000
_EPOCH = re.compile(r"(.+),(\d+)")
_PRETRAINED_ROWS = "arg:fc7_weight"


class Translation(NamedTuple):
    """The settings, and lines for the person: how 2018 would have run it, and what does nothing."""

    settings: dict[str, Any]
    notes: list[str]


def translate(given: Mapping[str, Any], more: Mapping[str, Any]) -> Translation:
    """Translate the options that were `given` (see `options`), with `more` settings over them.

    Raises `ConfigError` for what does not exist here, with a next step.
    """
    asked = ScriptOptions(given)
    _refuse(asked)
    if not asked["data_dir"] or "," in asked["data_dir"]:
        raise _data_error(asked)
    backbone, backbone_options = networks.choose(asked)
    loss, loss_options = losses.choose(asked)
    settings = {
        "backbone": backbone,
        "loss": loss,
        "dataset": asked["data_dir"],
        "backbone_options": backbone_options,
        "loss_options": loss_options,
        "dataset_options": {"min_images": asked["images_filter"]} if asked["images_filter"] else {},
        "batch_size": asked["per_batch_size"] or 128,
        "lr": asked["lr"],
        "schedule": "multistep",
        "optimizer": "legacy",
        "momentum": asked["mom"],
        "weight_decay": asked["wd"],
        "verify_every": asked["verbose"],
        "verify_sets": _targets(asked),
        **_length(asked),
        **_augmentation(asked),
        **_files(asked),
        **_start(asked, loss),
    }
    settings = merge(settings, more)
    if "milestones" not in more and settings["schedule"] == "multistep":
        where = devices_for(settings.get("gpus"), settings.get("nproc"))
        return _with_milestones(asked, settings, where)
    return Translation(settings, asked.notes)


def _refuse(asked: ScriptOptions) -> None:
    """Raise `ConfigError` for options that have no counterpart, and note those that never did anything."""
    absent = {
        "noise_sgd": ("noise is not added to gradients here", "leave it out"),
        "incay": ("losses have no such term here", "leave it out"),
        "output_c2c": ("margins by a side file do not exist here", _filtering()),
        "c2c_threshold": ("images are not filtered by a side file", _filtering()),
        "c2c_mode": ("images are not filtered by a side file", _filtering()),
        "bn_mom": ("batch norms have a momentum of 0.9, which torch calls 0.1", "leave it out"),
        "image_size": (
            "networks take 112×112",
            "`arcterm data pack SRC DST --resize` makes packs of that size",
        ),
    }
    for name, (why, hint) in absent.items():
        if asked.changed(name):
            raise asked.refuse(name, why, hint)
    asked.idle("so it was in 2018", "retrain", "use_deformable", "patch", "scale")
    asked.idle(
        "2018's optimizer took no heed of it either; all weights are alike", "fc7_wd_mult", "fc7_lr_mult"
    )
    asked.idle("each step shows the mean target angle", "margin_verbose")


def _filtering() -> str:
    return "`arcterm data check DIR` finds doubled images, which are often labelled wrongly"


def _data_error(asked: ScriptOptions) -> ConfigError:
    if not asked["data_dir"]:
        return ConfigError("--data-dir is missing", "give the folder that has train.rec and property")
    return asked.refuse(
        "data_dir",
        "several packs at once are for `arcterm train`, or can be merged",
        "`arcterm data merge SRC SRC DST`, or `arcterm train BACKBONE LOSS --dataset A,B`",
    )


def _targets(asked: ScriptOptions) -> str:
    """The names in --target whose file is there, in that order, which the rule of --ckpt 1 goes by."""
    folder = Path(asked["data_dir"]).expanduser()
    there = [set_name(path) for path in set_files(folder)] if folder.is_dir() else []
    wanted = [name.strip() for name in asked["target"].split(",") if name.strip()]
    found = [name for name in wanted if name in there]
    missing = [name for name in wanted if name not in there]
    if not there and asked["ckpt"] == 1:
        asked.notes.append(f"--ckpt 1 writes nothing without a verification set in {folder}; --ckpt 2 does")
    if missing and there and found:
        asked.notes.append(f"--target: {', '.join(missing)} not in {folder}, as 2018 passed over in silence")
    if missing and there and not found:
        asked.notes.append(
            f"--target: none of {', '.join(missing)} is in {folder}, so all sets there are verified"
        )
    return ",".join(found)


def _length(asked: ScriptOptions) -> dict[str, int]:
    if asked["max_steps"] > 0:
        if asked.changed("end_epoch"):
            asked.notes.append("--max-steps decides the length, --end-epoch does nothing beside it")
        return {"steps": asked["max_steps"]}
    if asked.changed("end_epoch") and asked["loss_type"] == losses.TRIPLET:
        raise asked.refuse(
            "end_epoch",
            "with triplets it counted rounds of mining, whose length nobody knows beforehand",
            "give --max-steps",
        )
    if not asked.gave("end_epoch"):
        asked.notes.append("the training has no end but yours: stop it, or give --max-steps")
    return {"epochs": asked["end_epoch"]}


def _augmentation(asked: ScriptOptions) -> dict[str, Any]:
    found: dict[str, Any] = {"mirror": 0.5 if asked["rand_mirror"] else 0.0}
    if asked["color"] > 0:
        found |= {"jitter": 1.0, "jitter_strength": 0.125}
    if asked["color"] > 1:
        found |= {"jpeg": 0.5, "jpeg_low": 2, "jpeg_high": 20}
    if asked["cutoff"] > 0:
        asked.notes.append(
            "--cutoff works as in December 2018: half of the images; before it did nothing, or all"
        )
        found |= {"cutout": 0.5, "cutout_size": asked["cutoff"]}
    return found


def _files(asked: ScriptOptions) -> dict[str, str]:
    if asked["ckpt"] <= 0:
        return {}
    if asked["ckpt"] > 2:
        asked.notes.append(f"--ckpt {asked['ckpt']} is 2: each verification writes files of its own number")
    return {"mxnet_prefix": asked["prefix"], "mxnet_save": "best" if asked["ckpt"] == 1 else "every"}


def _start(asked: ScriptOptions, loss: str) -> dict[str, str]:
    """2018 loaded what has the right name, the class weights too; it crashed where their number differed."""
    text = asked["pretrained"].strip()
    if not text:
        return {}
    if loss == "triplet" or not (found := _EPOCH.fullmatch(text)):
        return {"pretrained": text}
    prefix, number = Path(found[1]).expanduser(), int(found[2])
    weights = prefix.with_name(f"{prefix.name}-{number:04d}.params")
    shape = params.shapes(weights).get(_PRETRAINED_ROWS, ()) if weights.is_file() else ()
    classes = _classes(asked)
    if shape and shape[0] == classes:
        return {"pretrained": text, "head": "keep"}
    held = f"class weights of {shape[0]:,} people" if shape else "no class weights"
    asked.notes.append(f"--pretrained {text} has {held}: those of the data start anew")
    return {"pretrained": text}


def _classes(asked: ScriptOptions) -> int:
    """The number of people that the pack says it has; 0 where it doesn't say."""
    path = Path(asked["data_dir"]).expanduser() / "property"
    return read_property(path)[0] if path.is_file() and not asked["images_filter"] else 0


def _with_milestones(asked: ScriptOptions, settings: dict[str, Any], where: Devices) -> Translation:
    """Add the steps at which the rate falls, and lines for the batch of 2018 and that which runs."""
    many = asked["loss_type"] == 1 and _classes(asked) > _MANY
    late = _FREEZE if many else asked["beta_freeze"]
    batch = int(settings["batch_size"])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").strip()
    then = len(visible.split(",")) if visible else 1
    steps = milestones(asked["lr_steps"], asked["loss_type"], batch * where.nproc, late)
    ranks = f"{where.nproc} {'GPU' if where.gpus else 'CPU rank'}{'s' * (where.nproc > 1)}"
    lines = [_line("here", ranks, batch, where.nproc, steps, int(settings["verify_every"]))]
    if then != where.nproc:
        wanted = milestones(asked["lr_steps"], asked["loss_type"], batch * then, late)
        gpus = f"{then} GPU{'s' * (then > 1)}" if visible else "1 CPU"
        lines.insert(0, _line("2018", gpus, batch, then, wanted, int(settings["verify_every"])))
    settings["milestones"] = ",".join(map(str, steps))
    return Translation(settings, [*lines, *asked.notes])


def milestones(text: str, loss: int, batch: int, late: int) -> list[int]:
    """The steps after which the rate falls: those of `text`, or the usual ones × 512 / `batch`, all `late`.

    Raises `ConfigError` for a `text` that is no list of numbers.
    """
    usual = [100_000, 140_000, 160_000] if 1 <= loss <= 5 else [40_000, 60_000, 80_000]
    try:
        steps = (
            [int(part) for part in text.split(",")] if text else [int(step * 512 / batch) for step in usual]
        )
    except ValueError:
        raise ConfigError(
            f"--lr-steps {text[:40]} is no list of steps", "write --lr-steps 1000,2000"
        ) from None
    return sorted({step + late for step in steps if step + late > 0})


def _line(when: str, ranks: str, batch: int, count: int, steps: list[int], every: int) -> str:
    whole = batch * count
    at = ", ".join(f"{step:,}" for step in steps) or "no step"
    return (
        f"{when:<5}{batch} × {ranks} = {whole:,} images a step, lr to a tenth after {at}; "
        f"verification every {every:,} steps = {whole * every:,} images"
    )
