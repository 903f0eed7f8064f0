"""From what a person asked for to a complete config, checked before a run exists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from arcterm_registry import Backbone, Loss, PluginError, Recipe
from arcterm_registry.contracts import DatasetFacts, Feeding

from arcterm.commandline import Value
from arcterm.config import TrainConfig
from arcterm.errors import ConfigError, DataError
from arcterm.inputs import sources
from arcterm.inputs.sources import DataSource
from arcterm.launch import (
    batchnorm,
    engine,
    mxnetfiles,
    pretrained,
    remarks,
    samedata,
    sets,
    sharing,
    teacher,
)
from arcterm.launch.choice import Devices, check_order, chosen
from arcterm.launch.estimate import assess, decoded, grouping, seconds
from arcterm.launch.estimate.assess import Look
from arcterm.launch.estimate.need import Subject
from arcterm.launch.estimate.seconds import Duration
from arcterm.launch.estimate.verdict import Estimate
from arcterm.launch.hosts.asked import ONE, AskedHosts
from arcterm.launch.launchers import chosen as launchers
from arcterm.launch.launchers.chosen import Chosen
from arcterm.launch.pretrained import Pretrained
from arcterm.launch.recipes import find, layer
from arcterm.launch.teacher import TeacherFile
from arcterm.launch.trackers import chosen as tracked
from arcterm.overrides import check_settings, merge, options_for
from arcterm.progress import Progress
from arcterm.runs import store
from arcterm.samples import FROM_START
from arcterm.schedules import ramp
from arcterm.schedules.clock import TIMES, Clock, worked_out
from arcterm.schedules.rate import usual_milestones
from arcterm.settings import DEFAULTS, SETTINGS

DEFAULT_DATASET = "demo"
_WORKED_OUT = (
    *("nproc", "gpus", "launcher", "batch_size", "epochs", "steps", "lr", *TIMES, "pretrained", "teacher"),
)
_START = {"drop": "the backbone of", "keep": "backbone and class weights of"}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A config ready to start, the data it was made for, and notes for the person who starts it.

    `seconds` is a rough estimate of the training time, `warning` what to say if that is long; `estimate` says
    what else it needs, and why it can't start if it can't. `faults` are what its launcher finds wrong.
    `options` are for the supervisor.
    """

    config: TrainConfig
    facts: DatasetFacts
    notes: list[str]
    seconds: float
    warning: str
    estimate: Estimate
    options: tuple[str, ...] = ()
    faults: list[str] = field(default_factory=list)

    @property
    def refusal(self) -> ConfigError | None:
        """The error of starting it although its launcher finds something wrong with it."""
        return engine.refusal(self.config, self.faults)


class _Choice(NamedTuple):
    """What was `asked` for, over the `recipe`, the backbone's `usual` settings and the defaults: `given`."""

    asked: dict[str, Any]
    recipe: Recipe | None
    usual: dict[str, Any]
    given: dict[str, Any]
    backbone: Backbone
    loss: Loss
    backbone_options: dict[str, Value]
    loss_options: dict[str, Value]

    @property
    def chosen(self) -> dict[str, Any]:
        """What was asked for, by the command or the recipe."""
        return {**(layer.beneath(self.recipe, self.asked) if self.recipe else {}), **self.asked}


class _Length(NamedTuple):
    """A rank's images of a pass and how they are chosen, steps and epochs in all, steps of an epoch."""

    batch: int
    feeding: Feeding | None
    steps: int
    epochs: int
    per_epoch: int


class _Parts(NamedTuple):
    """Everything that a config is made of."""

    choice: _Choice
    source: DataSource
    facts: DatasetFacts
    launcher: Chosen
    devices: Devices
    length: _Length
    start: Pretrained | None
    teacher: TeacherFile | None


def make_plan(
    settings: Mapping[str, Any],
    progress: Progress | None = None,
    root: Path | None = None,
    look: Look = "quick",
    where: Devices | None = None,
    hosts: AskedHosts = ONE,
) -> Plan:
    """Work out a complete config from `settings` (see `overrides.merge`).

    `progress` follows a data set that must first be made; other runs are looked for in `root`.
    `look` is how close the memory is looked at, which may take seconds. `where` are devices that need not
    be here, in place of those that the settings name.
    On several `hosts` ranks and GPUs of the settings are those of each.

    Raises `ArctermError` or `PluginError` for the first thing that can't be, naming the option to change.
    """
    choice = _choose(settings)
    given = choice.given
    source = sources.find(given.get("dataset") or DEFAULT_DATASET, given.get("dataset_options", {}))
    launcher = launchers.choose(given["launcher"], given.get("launcher_options", {}))
    where = where or launchers.place(launcher, given.get("gpus"), given.get("nproc")).on(hosts)
    if choice.loss.form == "margin":  # images of different passes never meet
        given["accumulate"] = layer.passes(choice.recipe, choice.asked, where.nproc, given["accumulate"])
    facts, given["verify_sets"] = sets.choose(sets.inspect(source, progress), given["verify_sets"])
    cached = decoded.lines(given["decoded_cache"], facts)
    length = _length(choice, facts, where)
    _check_fit(choice.backbone, facts, where.nproc)
    batchnorm.check(given["backbone"], choice.backbone_options, length.batch)
    options = choice.backbone_options
    given["mxnet_prefix"] = mxnetfiles.check(given["mxnet_prefix"], given["backbone"], options)
    given["track"], given["track_options"] = tracked.choose(given["track"], given.get("track_options", {}))
    start = _start(choice, root, facts)
    parts = _Parts(choice, source, facts, launcher, where, length, start, _teacher(choice, root))
    config = _config(parts)
    found = assess.assess(
        Subject(choice.backbone, choice.loss, facts),
        config,
        choice.asked,
        assess.split_by(lambda batch: sharing.check(length.feeding, batch, where.nproc, facts)),
        store.runs_dir(root),
        look,
    )
    faults = engine.faults(config, store.runs_dir(root), given.get("name", ""))
    grouped = grouping.lines(config, look)
    taken = _duration(parts, config, found, look)
    return Plan(
        config=config,
        facts=facts,
        notes=[
            *_notes(parts, config, cached),
            *grouped,
            *found.lines(),
            *([taken.line] if taken.line else []),
            *(f"problem   {config.launcher}: {fault.partition(' → ')[0]}" for fault in faults),
            *_problems(parts, config),
        ],
        faults=faults,
        seconds=taken.seconds,
        warning=seconds.warning(taken.seconds, config),
        estimate=found,
        options=hosts.options,
    )


def _duration(parts: _Parts, config: TrainConfig, found: Estimate, look: Look) -> Duration:
    """How long the training takes: tried if all is asked for, or if it is long and worth knowing."""
    crude = seconds.seconds(parts.choice.backbone, config)
    if (
        look == "quick"
        or config.is_remote
        or found.problem
        or (look == "tight" and crude < seconds.LONG_SECONDS)
    ):
        return Duration(crude)
    return seconds.probe(config, Subject(parts.choice.backbone, parts.choice.loss, parts.facts), crude)


def _choose(settings: Mapping[str, Any]) -> _Choice:
    asked = check_settings({key: value for key, value in settings.items() if value is not None}, "settings")
    defaults = {name: value for name, value in DEFAULTS.items() if name != "steps"}
    check_order(asked)
    recipe = find.find(asked["recipe"]) if asked.get("recipe") else None
    below = layer.beneath(recipe, asked) if recipe else {}
    backbone = chosen("backbone", {**below, **asked})
    usual = check_settings(dict(backbone.usual), f"the usual settings of {asked.get('backbone')}")
    given = merge(defaults, usual, below, asked)
    loss = chosen("loss", given)
    backbone_options = _options("backbone", backbone, given)
    loss_options = _options("loss", loss, given)
    if loss.form != "margin":
        _refuse_of_classes(given)
    ramp.check(given, loss, loss_options)
    return _Choice(asked, recipe, usual, given, backbone, loss, backbone_options, loss_options)


def _refuse_of_classes(given: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a setting that is about class weights, where the loss has none."""
    usual = {
        "row_update": "auto",
        "head_filter": False,
        "sample_rate": 1,
        "interclass_filter": 1,
        "head_lr_factor": 1,
        "head_decay": None,
    }
    for name in [name for name, value in usual.items() if given[name] != value]:
        raise ConfigError(
            f"loss {given['loss']} compares no classes, so {name} has nothing to act on",
            f"leave out --set {name}",
        )
    if frozen := {"head", "backbone"} & {name.strip() for name in given["freeze"].split(",")}:
        raise ConfigError(
            f"loss {given['loss']} compares no classes: with freeze {', '.join(sorted(frozen))} there is "
            "nothing to freeze, or nothing left that learns",
            "change --set freeze",
        )


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


def _length(choice: _Choice, facts: DatasetFacts, where: Devices) -> _Length:
    given = choice.given
    feeding = sharing.feeding(given["loss"], choice.loss, choice.loss_options)
    batch = given["batch_size"] or sharing.usual_batch(128 if where.gpus else 32, where.nproc, feeding)
    sharing.check(feeding, batch, where.nproc, facts)
    sharing.check_sampling(given["loss"], feeding, given["sampling"])
    sharing.check_parts(given["loss"], feeding, given["accumulate"])
    whole = batch * where.nproc * given["accumulate"]
    per_epoch = facts.images // whole
    if per_epoch == 0:
        raise ConfigError(
            f"a step takes {whole} images and the data set has {facts.images}",
            f"lower --batch-size (or {sharing.factors(given['accumulate'])}) until their product is at most "
            f"{facts.images}",
        )
    steps = given.get("steps") or given["epochs"] * per_epoch
    epochs = math.ceil(steps / per_epoch) if given.get("steps") else given["epochs"]
    return _Length(batch, feeding, steps, epochs, per_epoch)


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


def _start(choice: _Choice, root: Path | None, facts: DatasetFacts) -> Pretrained | None:
    """Find what --pretrained means; None without one."""
    given = choice.given
    keep = given["head"] == "keep"
    if not given["pretrained"]:
        if keep:
            raise ConfigError("--head keep has nothing to keep", "give --pretrained too, or leave it out")
        return None
    if keep and choice.loss.form != "margin":
        raise ConfigError(f"loss {given['loss']!r} has no class weights to keep", "leave out --head keep")
    runs = store.runs_dir(root)
    found = pretrained.find(
        given["pretrained"], runs, given["backbone"], choice.backbone_options, keep_head=keep
    )
    if keep:
        pretrained.check_classes(found, facts.classes)
    return found


def _teacher(choice: _Choice, root: Path | None) -> TeacherFile | None:
    """Find what --set teacher means; None without one."""
    if not (text := choice.given["teacher"]):
        return None
    return teacher.find(text, store.runs_dir(root), choice.backbone, choice.backbone_options)


def _config(parts: _Parts) -> TrainConfig:
    choice, source, facts, launcher, where, length, start, taught = parts
    given = choice.given
    whole = length.batch * where.nproc * given["accumulate"]
    made = TrainConfig(
        **launcher.placement,
        backbone=given["backbone"],
        loss=given["loss"],
        dataset=source.name,
        backbone_options=choice.backbone_options,
        loss_options=choice.loss_options,
        dataset_options=dict(source.options),
        **where.settings,
        batch_size=length.batch,
        epochs=length.epochs,
        steps=length.steps,
        lr=_rate(choice, whole),
        **_times(given, Clock(FROM_START, facts.images, whole, length.steps)),
        pretrained=str(start.path) if start else "",
        teacher=str(taught.path) if taught else "",
        track_options=given["track_options"],
        **{option.name: given[option.name] for option in SETTINGS if option.name not in _WORKED_OUT},
    )
    return msgspec.structs.replace(made, threads=launchers.threads(made))


def _times(given: Mapping[str, Any], clock: Clock) -> dict[str, Any]:
    """The settings that are times, in steps; milestones only where the schedule has some."""
    if given["schedule"] != "multistep":
        return worked_out({**given, "milestones": ""}, clock)
    return {"milestones": usual_milestones(clock.steps), **worked_out(given, clock)}


def _rate(choice: _Choice, whole: int) -> float:
    """The peak rate for steps of `whole` images; a recipe's goes with the size of its own steps."""
    rate = choice.given["lr"]
    if not rate:
        return max(0.02, 0.1 * whole / 1024)
    return float(rate * layer.scale(choice.recipe, choice.asked, choice.given["optimizer"], whole))


def _notes(parts: _Parts, config: TrainConfig, cached: list[str]) -> list[str]:
    """Lines that say what the config is and where its numbers come from."""
    choice, source, facts, _, where, length, _, taught = parts
    given, whole = choice.given, config.global_batch
    ranks = f"{where.nproc} {'GPU' if where.gpus else 'CPU rank'}{'s' * (where.nproc > 1)}"
    ranks += f" on {where.hosts} hosts" if where.hosts > 1 else ""
    verified = ", ".join(f"{key} ({pairs} pairs)" for key, pairs in facts.verification.items()) or "none"
    unasked = "" if given.get("dataset") else " (no --dataset given)"
    epochs = "epochs" if given.get("steps") else f"{length.epochs} epochs"
    parts_of = f" × {config.accumulate} passes" if config.accumulate > 1 else ""
    lr_rule = f" (0.1 × {whole} / 1024, at least 0.02)"
    if given["lr"]:
        of = choice.recipe.global_batch if choice.recipe else 0
        lr_rule = "" if config.lr == given["lr"] else f" ({given['lr']:g} × {whole} / {of}, as in the recipe)"
    return [
        f"data      {source.name}{unasked}: {facts.images:,} images of {facts.classes:,} people",
        f"verify    {verified}; every {remarks.steps('verify_every', config)} and at the end",
        f"model     {config.backbone} + {config.loss} {remarks.loss(choice.loss, config)}".rstrip(),
        f"batch     {length.batch} × {ranks}{parts_of} = {whole} images a step"
        f"{sharing.words(length.feeding, whole, config.sampling)}",
        *([f"device    {where.remark}"] if where.remark else []),
        *remarks.loader(config),
        f"length    {length.steps:,} steps ({epochs} of {length.per_epoch:,})",
        f"lr        {config.lr:g}{lr_rule}, schedule {remarks.schedule(config)}",
        *(layer.lines(choice.recipe, choice.asked) if choice.recipe else []),
        *remarks.usual(choice.usual, choice.chosen, config),
        *remarks.given(choice.asked, config),
        *cached,
        *grouping.average(config),
        *remarks.rows(choice.loss, config),
        *mxnetfiles.notes(config.mxnet_prefix, config.mxnet_save),
        *tracked.notes(config),
        *launchers.notes(config),
        *([f"start     {_START[config.head]} {config.pretrained}"] if config.pretrained else []),
        *([f"teacher   {taught.words}: {_weights(config)}"] if taught else []),
    ]


def _weights(config: TrainConfig) -> str:
    """What is learned beside a teacher."""
    alone = "" if config.loss_weight else ", nothing else"
    own = f" + {config.loss_weight:g} × the loss" if config.loss_weight else alone
    return f"{config.teacher_weight:g} × (1 - cosine to its embeddings){own}"


def _problems(parts: _Parts, config: TrainConfig) -> list[str]:
    """Lines about what is wrong with the data or the first weights, and about settings that do nothing."""
    facts, damaged = parts.facts, parts.start.damaged if parts.start else ()
    others = samedata.other_people(config, facts)
    return [
        *(f"problem   {problem}: an older checkpoint is taken" for problem in damaged),
        *([f"problem   {others}"] if others else []),
        *(
            f"problem   verification set {key} is set aside, the run goes on without it: {reason}"
            for key, reason in (facts.set_aside or {}).items()
        ),
        *(f"problem   {problem}" for problem in facts.problems),
        *remarks.idle(parts.choice.asked, config),
    ]
