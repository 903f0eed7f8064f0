"""From what a person asked for to a complete config, checked before a run exists."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arcterm_registry import Backbone, Loss, PluginError
from arcterm_registry.contracts import DatasetFacts

from arcterm import gpus, sources
from arcterm.commandline import Value, written
from arcterm.config import TrainConfig, check_settings, indices, merge, options_for
from arcterm.errors import ConfigError, DataError
from arcterm.launch import batchnorm, devices, pretrained, remarks, sets, sharing
from arcterm.launch.choice import check_order, chosen
from arcterm.progress import Progress
from arcterm.runs import store
from arcterm.runs.dataset import changed
from arcterm.runs.dataset import current as recorded_dataset
from arcterm.runs.store import Run
from arcterm.settings import SETTINGS

DEFAULT_DATASET = "demo"
LONG_SECONDS = 3600.0
_GPU_FLOPS = 30e12
_CPU_SHARE = 0.5
_WORKED_OUT = ("nproc", "gpus", "batch_size", "epochs", "steps", "lr", "milestones", "pretrained")
_START = {"drop": "the backbone of", "keep": "backbone and class weights of"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A config ready to start, the data it was made for, and what to tell the person first.

    `seconds` is a rough estimate of the training time, `warning` what to say if that is long.
    """

    config: TrainConfig
    facts: DatasetFacts
    notes: list[str]
    seconds: float
    warning: str


def make_plan(
    settings: Mapping[str, Any], progress: Progress | None = None, root: Path | None = None
) -> Plan:
    """Work out a complete config from `settings` (see `config.merge`).

    `progress` is told how far a data set is that must first be made; other runs are looked for in `root`.

    Raises `ArctermError` or `PluginError` for the first thing that can't be, naming the option to change.
    """
    asked = check_settings({key: value for key, value in settings.items() if value is not None}, "settings")
    defaults = {option.name: option.default for option in SETTINGS if option.name != "steps"}
    check_order(asked)
    recipe = check_settings(_recipe(asked), f"the recipe of {asked.get('backbone')}")
    given = merge(defaults, recipe, asked)
    backbone, loss = chosen("backbone", given), chosen("loss", given)
    backbone_options = _options("backbone", backbone, given)
    loss_options = _options("loss", loss, given)
    _check_head(loss, given)
    source = sources.find(given.get("dataset") or DEFAULT_DATASET, given.get("dataset_options", {}))
    chosen_gpus, nproc, where_told = _devices(given.get("gpus"), given.get("nproc"))
    facts = sets.inspect(source, progress)
    kept = _kept(given["decoded_cache"], facts)
    feeding = sharing.feeding(given["loss"], loss, loss_options)
    batch = given["batch_size"] or sharing.usual_batch(128 if chosen_gpus else 32, nproc, feeding)
    sharing.check(feeding, batch, nproc, facts)
    steps, epochs, pace = _length(given, facts, batch * nproc)
    _check_fit(backbone, facts, nproc)
    batchnorm.check(given["backbone"], backbone_options, batch)
    begun = _pretrained(given, root, backbone_options, loss, facts)
    lr_rule = max(0.02, 0.1 * batch * nproc / 1024)
    config = TrainConfig(
        backbone=given["backbone"],
        loss=given["loss"],
        dataset=source.name,
        backbone_options=backbone_options,
        loss_options=loss_options,
        dataset_options=dict(source.options),
        device="cuda" if chosen_gpus else "cpu",
        nproc=nproc,
        gpus=chosen_gpus,
        threads=1 if chosen_gpus else max(1, cores() // nproc),
        batch_size=batch,
        epochs=epochs,
        steps=steps,
        lr=given["lr"] or lr_rule,
        milestones=_milestones(given["milestones"], given["schedule"], steps),
        pretrained=str(begun.path) if begun else "",
        **{option.name: given[option.name] for option in SETTINGS if option.name not in _WORKED_OUT},
    )
    where = f"{nproc} GPU{'s' * (nproc > 1)}" if chosen_gpus else f"{nproc} CPU rank{'s' * (nproc > 1)}"
    verified = ", ".join(f"{key} ({pairs} pairs)" for key, pairs in facts.verification.items()) or "none"
    lr_why = "" if given["lr"] else f" (0.1 × {batch * nproc} / 1024, at least 0.02)"
    unasked = "" if given.get("dataset") else " (no --dataset given)"
    notes = [
        f"data      {source.name}{unasked}: {facts.images:,} images of {facts.classes:,} people",
        f"verify    {verified}; every {config.verify_every:,} steps and at the end",
        f"model     {given['backbone']} + {given['loss']} {_words(loss, loss_options)}".rstrip(),
        f"batch     {batch} × {where} = {batch * nproc} images a step{sharing.words(feeding, batch * nproc)}",
        *([f"device    {where_told}"] if where_told else []),
        f"length    {steps:,} steps{pace}",
        f"lr        {config.lr:g}{lr_why}, schedule {config.schedule}",
        *_usual(given["backbone"], recipe, asked),
        *remarks.given(asked, config),
        *kept,
        *([f"start     {_START[config.head]} {config.pretrained}"] if config.pretrained else []),
        *(
            f"problem   {problem}: an older checkpoint is taken"
            for problem in (begun.damaged if begun else ())
        ),
        *([f"problem   {others}"] if (others := _other_people(config, facts)) else []),
        *(
            f"problem   verification set {key} is set aside, the run goes on without it: {reason}"
            for key, reason in (facts.set_aside or {}).items()
        ),
        *(f"problem   {problem}" for problem in facts.problems),
        *remarks.idle(asked, config),
    ]
    seconds = estimate(backbone, config)
    return Plan(config=config, facts=facts, notes=notes, seconds=seconds, warning=_long(seconds, config))


def estimate(backbone: Backbone, config: TrainConfig) -> float:
    """Rough seconds of training: 6 × multiply-adds an image, at this machine's speed."""
    flops = 6e9 * backbone.gmacs * config.global_batch * config.steps
    speed = (
        _GPU_FLOPS * config.nproc
        if config.gpus
        else _cpu_flops() * min(cores(), config.nproc * config.threads)
    )
    return flops / speed


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``12 min``, ``3 h 20 min``, ``4 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"
    return f"{seconds / 86400:.0f} days"


def _recipe(asked: Mapping[str, Any]) -> dict[str, Value]:
    """The settings that the chosen backbone is usually trained with."""
    return dict(chosen("backbone", asked).recipe)


def _usual(backbone: str, recipe: Mapping[str, Value], asked: Mapping[str, Any]) -> list[str]:
    """A line for what the backbone's recipe decided, if it decided anything."""
    taken = [f"{key} {written(value)}" for key, value in recipe.items() if key not in asked]
    return [f"recipe    {', '.join(taken)}, as {backbone} is usually trained"] if taken else []


def _options(kind: str, declared: Backbone | Loss, given: Mapping[str, Any]) -> dict[str, Value]:
    owner = f"{kind} {given[kind]}"
    values = options_for(declared.options, given.get(f"{kind}_options", {}), owner)
    try:
        declared.check_together(values)
    except ValueError as error:
        raise ConfigError(f"{owner}: {error}", f"change --set {kind}.KEY=VALUE") from None
    except Exception as error:
        what = f"{owner} can't check its options: {type(error).__name__}: {error}"
        raise PluginError(
            what, f"`arcterm plugins check {given[kind]}` says more; tell its author"
        ) from error
    return values


def _check_head(loss: Loss, given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if the loss has no class weights and something is asked of them."""
    for name in ("sample_rate", "interclass_filter"):
        if loss.form != "margin" and given[name] != 1:
            raise ConfigError(
                f"loss {given['loss']} compares no classes, so {name} has nothing to act on",
                f"leave out --set {name}",
            )


def _devices(wanted: str | None, nproc: int | None) -> tuple[list[int], int, str]:
    """The GPUs, the number of ranks, and what is to be said of where they work."""
    asked = indices(wanted or "", "gpus")
    if wanted and wanted.strip() and not asked:
        raise ConfigError(f"--gpus {wanted} names no GPU", "write --gpus 0,2")
    unfit = devices.without_cuda() if _torch_is_cpu_only() else devices.too_old()
    if unfit and asked:
        raise ConfigError(f"--gpus {wanted} can't be had: {unfit}", "or leave out --gpus")
    chosen = [] if unfit else gpus.select(asked)
    told = devices.told(chosen, unfit)
    if not chosen:
        if nproc and nproc > 4 * cores():
            raise ConfigError(
                f"{nproc} ranks on {cores()} CPU cores", f"change --nproc; at most {4 * cores()}"
            )
        return [], nproc or 1, told
    if nproc and nproc > len(chosen):
        there = f"{len(chosen)} GPU{'s' * (len(chosen) > 1)}"
        hint = "one rank a GPU: lower --nproc or widen --gpus"
        raise ConfigError(f"{nproc} ranks on {there}", f"{hint}; {told}" if told else hint)
    return chosen[: nproc or len(chosen)], nproc or len(chosen), told


def _torch_is_cpu_only() -> bool:
    return not devices.torch_has_cuda()


def _length(given: Mapping[str, Any], facts: DatasetFacts, batch: int) -> tuple[int, int, str]:
    """Total steps, epochs, and how the steps came about."""
    per_epoch = facts.images // batch
    if per_epoch == 0:
        raise ConfigError(
            f"a step takes {batch} images and the data set has {facts.images}",
            f"lower --batch-size (or --nproc) until their product is at most {facts.images}",
        )
    if given.get("steps"):
        return given["steps"], math.ceil(given["steps"] / per_epoch), f" (epochs of {per_epoch:,})"
    return given["epochs"] * per_epoch, given["epochs"], f" ({given['epochs']} epochs of {per_epoch:,})"


def _pretrained(
    given: Mapping[str, Any],
    root: Path | None,
    options: Mapping[str, Value],
    loss: Loss,
    facts: DatasetFacts,
) -> pretrained.Pretrained | None:
    """What --pretrained means; None without one."""
    keep = given["head"] == "keep"
    if not given["pretrained"]:
        if keep:
            raise ConfigError("--head keep has nothing to keep", "give --pretrained too, or leave it out")
        return None
    if keep and loss.form != "margin":
        raise ConfigError(f"loss {given['loss']!r} has no class weights to keep", "leave out --head keep")
    found = pretrained.find(
        given["pretrained"], store.runs_dir(root), given["backbone"], options, keep_head=keep
    )
    if keep:
        pretrained.check_classes(found, facts.classes)
    return found


def _other_people(config: TrainConfig, facts: DatasetFacts) -> str:
    """A sentence if class weights are kept that a run made of other data; empty otherwise."""
    run = Run(Path(config.pretrained).parent.parent)
    if config.head != "keep" or not config.pretrained or (record := store.recorded(run)) is None:
        return ""
    was = recorded_dataset(run) if record.dataset else None
    said = changed(was, facts) if was else ""
    return f"the class weights of {config.pretrained} were made with other data: {said}" if said else ""


def _check_fit(backbone: Backbone, facts: DatasetFacts, nproc: int) -> None:
    if facts.classes < 2:
        raise ConfigError("one person can't be told apart from nobody", "give a data set of 2 people or more")
    if facts.classes < nproc:
        raise ConfigError(
            f"{facts.classes} people can't be shared by {nproc} ranks",
            f"lower --nproc to {facts.classes} or less",
        )
    if facts.image_size != backbone.input_size:
        (h, w), (height, width) = facts.image_size, backbone.input_size
        raise DataError(
            f"the data set's images are {h}×{w}, the backbone takes {height}×{width}",
            "pack them again with `arcterm data pack SRC DST --resize`",
        )


def _kept(budget: int, facts: DatasetFacts) -> list[str]:
    """A line about the images that are kept decoded; raises `ConfigError` if the memory isn't free."""
    if not budget:
        return []
    import psutil

    each = 3 * facts.image_size[0] * facts.image_size[1]
    count = min(facts.images, (budget << 20) // each)
    needed, free = count * each >> 20, psutil.virtual_memory().available >> 20
    if needed > free:
        raise ConfigError(
            f"decoded_cache: {count:,} decoded images take {needed:,} MiB and {free:,} are free",
            f"give --set decoded_cache={free * 3 // 4} or less",
        )
    return [f"cache     {count:,} of {facts.images:,} images kept decoded, {needed:,} MiB"]


def _milestones(text: str, schedule: str, steps: int) -> list[int]:
    if schedule != "multistep":
        return []
    return (
        indices(text, "milestones")
        if text
        else sorted({steps * share // 100 for share in (50, 70, 90)} - {0})
    )


def _cpu_flops() -> float:
    """Multiply-adds that a core does in training, per second: half of a timed float32 matrix product."""
    import numpy as np

    a = np.ones((512, 512), np.float32)
    a @ a
    started, used = time.perf_counter(), time.process_time()
    for _ in range(4):
        a @ a
    busy = max(time.process_time() - used, time.perf_counter() - started)
    return _CPU_SHARE * 4 * 2 * 512**3 / busy


def _long(seconds: float, config: TrainConfig) -> str:
    if seconds <= LONG_SECONDS:
        return ""
    steps = max(1, int(config.steps * LONG_SECONDS / seconds))
    faster = f"--steps {steps} takes about an hour"
    if not config.gpus and config.backbone != "tiny":
        faster += f"; `arcterm train tiny {config.loss}` is made for a CPU"
    return f"this will take about {duration(seconds)} on this machine; faster: {faster}"


def _words(declared: Loss, options: Mapping[str, Value]) -> str:
    """Margin and scale, and what else is not the default."""
    usual = {option.name: option.default for option in declared.options}
    told = [k for k, value in options.items() if k in ("margin", "scale") or value != usual[k]]
    return " ".join(f"{key} {written(options[key])}" for key in told)
