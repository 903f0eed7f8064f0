"""What a resume may change in a training, and the config that goes on from a step with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import msgspec
from arcterm_registry import Loss, get
from arcterm_registry.contracts import DatasetFacts

from arcterm import samples
from arcterm.config import Config, TrainConfig
from arcterm.errors import ConfigError
from arcterm.launch import devices, sharing
from arcterm.launch.choice import Devices
from arcterm.launch.launchers import chosen as launchers
from arcterm.launch.launchers.chosen import Chosen
from arcterm.launch.trackers.chosen import choose
from arcterm.overrides import check_settings
from arcterm.runs import trackers
from arcterm.samples import FROM_START, Begin
from arcterm.schedules.clock import TIMES, Clock, worked_out
from arcterm.schedules.ramp import RAMPS
from arcterm.schedules.rate import usual_milestones

WORKED_OUT = (
    *("nproc", "gpus", "batch_size", "accumulate", "dataset", "lr", "epochs", "steps", "milestones"),
    *("track", "track_options", "launcher", "launcher_options"),
)
PLAIN = (
    *("on_nan", "retries", "hang_seconds", "grace"),
    *(
        "verify_every",
        "checkpoint_every",
        "checkpoint_minutes",
        "checkpoint_background",
        "keep_last",
        "keep_best",
    ),
    *("loader_threads", "decoded_cache", "max_broken", "compile", "gradient_checkpointing"),
    *("cudnn_benchmark", "deterministic"),
    *(
        "precision",
        "head_precision",
        "head_filter",
        "row_update",
        "clip",
        "schedule",
        "power",
        "final_rate",
        "gamma",
        "warmup",
        "mxnet_save",
    ),
    *("head_lr_factor", "bn_momentum", "ema"),
)
"""Settings that a resume may change and nothing else follows from."""

_REASONS = {
    **dict.fromkeys(("backbone", "backbone_options"), "its weights are of this network"),
    **dict.fromkeys(("loss", "loss_options", *RAMPS), "its class weights were learned with this loss"),
    **dict.fromkeys(("dataset_options",), "its data is recorded as it was read"),
    **dict.fromkeys(
        ("optimizer", "momentum", "weight_decay", "decay_on", "head_decay", "freeze", "sample_rate"),
        "the optimizer's state in its checkpoints belongs to it",
    ),
    "interclass_filter": "it is a part of the loss that its weights were learned with",
    **dict.fromkeys(("seed", "sampling"), "the order of all images follows from it"),
    "verify_sets": "its results are of these sets (`arcterm verify` scores a run on others)",
    **dict.fromkeys(("pretrained", "head"), "it began long ago"),
    **dict.fromkeys(
        ("teacher", "teacher_weight", "loss_weight"), "its weights were learned from this teacher"
    ),
    "mxnet_prefix": "the numbers of its MXNet files go on from the first",
    "name": "its name stays",
}
_IMAGES = "its images were changed like this from the first step on"


def check_allowed(config: TrainConfig, asked: Mapping[str, Any], run_id: str) -> None:
    """Raise `ConfigError` for the first setting of `asked` that a resume can't change."""
    for name in asked:
        if name in (*WORKED_OUT, *PLAIN):
            continue
        way = f"--set {name.removesuffix('_options')}{'.KEY' * name.endswith('_options')}"
        new = f"`arcterm train {config.backbone} {config.loss} --pretrained {run_id}`"
        raise ConfigError(
            f"{way}: a resume can't change this: {_REASONS.get(name, _IMAGES)}",
            f"begin a new run with it, from these weights: {new}",
        )


def apply(
    config: TrainConfig,
    asked: Mapping[str, Any],
    *,
    step: int,
    where: Devices | None = None,
    facts: DatasetFacts,
    images: int,
) -> TrainConfig:
    """Return the config that goes on after `step` with what was `asked`.

    `where` is where it works from now on, None as before. `facts` are those of the data now; an epoch had
    `images` until now. Raises `ConfigError` for numbers that don't fit each other.
    """
    nproc = where.nproc if where else config.nproc
    parts = asked.get("accumulate") or config.accumulate
    batch = _batch(config, asked, nproc, parts, facts)
    begins, whole = config.begins, batch * nproc * parts
    if whole != config.global_batch:
        begins = samples.begin_after(config.begins, images, config.global_batch, step) if step else FROM_START
        if step and facts.images != images:  # the order of another number of images has no such place
            begins = msgspec.structs.replace(begins, epoch=begins.epoch + 1, offset=0)
    steps, epochs = _length(config, asked, begins, whole, facts.images, images)
    if steps <= step and steps != config.steps:
        length = f"{epochs} epochs are {steps:,} steps" if asked.get("epochs") else f"{steps:,} steps"
        raise ConfigError(
            f"{length} in all, and {step:,} are made",
            f"give --steps {step + 1} or more; the run as it is ends by being stopped",
        )
    clock = Clock(begins, facts.images, whole, steps)
    changed: dict[str, Any] = {name: asked[name] for name in PLAIN if name in asked}
    changed |= _times(config, asked, changed.get("schedule", config.schedule), clock)
    if {"track", "track_options"} & asked.keys():
        changed |= _trackers(config, asked)
    launcher = launcher_of(config, asked)
    made = msgspec.structs.replace(
        config,
        **changed,
        **launcher.placement,
        **(where.settings if where else {}),
        batch_size=batch,
        accumulate=parts,
        steps=steps,
        epochs=epochs,
        lr=asked.get("lr") or config.lr,
        begins=begins,
    )
    return msgspec.structs.replace(made, threads=launchers.threads(made)) if where else made


def launcher_of(config: Config, asked: Mapping[str, Any]) -> Chosen:
    """The launcher from now on: as before, with the options given now over its own, or another one."""
    name = asked.get("launcher") or config.launcher
    kept = dict(config.launcher_options) if name == config.launcher else {}
    return launchers.choose(name, kept | asked.get("launcher_options", {}))


def _trackers(config: TrainConfig, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The trackers from now on, with the options given now over those that they still have."""
    chosen = trackers.names(asked.get("track", config.track))
    kept = {
        key: value
        for key, value in config.track_options.items()
        if any(get("tracker", name).option(key) for name in chosen)
    }
    track, options = choose(",".join(chosen), kept | asked.get("track_options", {}))
    return {"track": track, "track_options": options}


def counts_epochs(config: TrainConfig, images: int) -> bool:
    """Whether the training ends with its epochs, of `images` each, rather than at a number of steps."""
    return config.steps == samples.steps_of(config.begins, images, config.global_batch, config.epochs)


def _batch(config: TrainConfig, asked: Mapping[str, Any], nproc: int, parts: int, facts: DatasetFacts) -> int:
    """Images of a rank's pass: as asked, else such that the global batch stays."""
    whole, declared = config.global_batch, get("loss", config.loss)
    fed = sharing.feeding(config.loss, declared, config.loss_options) if isinstance(declared, Loss) else None
    sharing.check_parts(config.loss, fed, parts)
    shares = nproc * parts
    batch = asked.get("batch_size") or whole // shares
    if not asked.get("batch_size") and whole % shares:
        _refuse_shares(whole, nproc, parts)
    if (batch, nproc) != (config.batch_size, config.nproc):
        sharing.check(fed, batch, nproc, facts)
        if facts.classes < nproc:
            raise ConfigError(
                f"{facts.classes} people can't be shared by {nproc} ranks",
                f"lower --nproc to {facts.classes} or less",
            )
    if batch * shares > facts.images:
        raise ConfigError(
            f"a step takes {batch * shares} images and the data set has {facts.images}",
            f"lower --batch-size (or {sharing.factors(parts)}) until their product is at most {facts.images}",
        )
    return batch


def _refuse_shares(whole: int, nproc: int, parts: int) -> NoReturn:
    """Raise `ConfigError` for a global batch that can't be shared, with the numbers that can."""
    shares = nproc * parts
    other = f"{-(-whole // shares)} are {-(-whole // shares) * shares} a step"
    if whole % nproc == 0:
        fit = [str(n) for n in range(1, whole // nproc + 1) if whole // nproc % n == 0][:8]
        raise ConfigError(
            f"{whole // nproc} images of a rank can't be taken in {parts} passes of one size",
            f"--set accumulate={_either(fit)} keeps them; or give --batch-size: {other}",
        )
    most = max(nproc, 4 * devices.cores())
    fit = [str(n) for n in range(1, most + 1) if whole % (n * parts) == 0][-8:]
    passes = f" in {parts} passes" if parts > 1 else ""
    raise ConfigError(
        f"{whole} images a step can't be shared by {nproc} ranks{passes}",
        f"--nproc {_either(fit)} keeps them; or give --batch-size: {other}",
    )


def _either(words: Sequence[str]) -> str:
    return ", ".join(words[:-1]) + f" or {words[-1]}" if len(words) > 1 else words[0]


def _length(
    config: TrainConfig, asked: Mapping[str, Any], begins: Begin, whole: int, images: int, before: int
) -> tuple[int, int]:
    """(steps, epochs) in all. A run that counts epochs keeps those, with another global batch too."""
    if asked.get("steps"):
        return asked["steps"], samples.place(begins, images, whole, asked["steps"]).epoch + 1
    if asked.get("epochs") or (counts_epochs(config, before) and whole != config.global_batch):
        epochs = asked.get("epochs") or config.epochs
        return samples.steps_of(begins, images, whole, epochs), epochs
    if whole == config.global_batch:
        return config.steps, config.epochs
    return config.steps, samples.place(begins, images, whole, config.steps).epoch + 1


def _times(config: TrainConfig, asked: Mapping[str, Any], schedule: str, clock: Clock) -> dict[str, Any]:
    """The settings that are times, in steps: those asked for, and those that count epochs anew.

    Milestones that were laid over the length are laid over the new one.
    """
    texts = check_settings(config.durations, "the run")
    texts |= {name: asked[name] for name in TIMES if asked.get(name) not in (None, "")}
    if schedule != "multistep":
        texts.pop("milestones", None)
    found = worked_out(texts, clock)
    if schedule != "multistep":
        return {**found, "milestones": []}
    usual = config.milestones in ([], usual_milestones(config.steps))
    return {"milestones": usual_milestones(clock.steps) if usual else config.milestones, **found}
