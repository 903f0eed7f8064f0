"""Lines of a plan about its settings: the loss, the usual ones, those given, and those that do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcterm_registry import Loss

from arcterm.commandline import Value, written
from arcterm.config import TrainConfig
from arcterm.cores import decoding_threads
from arcterm.overrides import OPTION_GROUPS
from arcterm.schedules.ramp import RAMPS, parse_points
from arcterm.schedules.rate import warm_steps

# they have lines of their own in a plan
_SAID = (
    *OPTION_GROUPS,
    "name",
    "recipe",
    "nproc",
    "gpus",
    "batch_size",
    "accumulate",
    "epochs",
    "steps",
    "lr",
    "pretrained",
    "mxnet_prefix",
    "teacher",
    "track",
    "launcher",
)

_ACTS_WITH = {
    "power": ("schedule", ("poly",)),
    "final_rate": ("schedule", ("cosine", "linear")),
    "gamma": ("schedule", ("multistep",)),
    "milestones": ("schedule", ("multistep",)),
    "crop_area": ("crop", ()),
    "jitter_strength": ("jitter", ()),
    "lowres_scale": ("lowres", ()),
    "jpeg_low": ("jpeg", ()),
    "jpeg_high": ("jpeg", ()),
    "cutout_size": ("cutout", ()),
    **dict.fromkeys(("warp_low", "warp_high", "warp_angle", "warp_offset"), ("warp", ())),
    "mxnet_save": ("mxnet_prefix", ()),
    "teacher_weight": ("teacher", ()),
    "loss_weight": ("teacher", ()),
}
"""A setting, the other one that it needs, and which values of that; without any it is whatever is above 0."""


def loss(declared: Loss, config: TrainConfig) -> str:
    """Margin and scale, and the other options that aren't the default."""
    usual = {option.name: option.default for option in declared.options}
    options = config.loss_options
    named = [k for k, value in options.items() if k in ("margin", "scale") or value != usual[k]]
    scheduled = {option: _ramp(name, config) for name, option in RAMPS.items() if getattr(config, name)}
    said = {key: written(options[key]) for key in named} | scheduled
    return " ".join(f"{key} {text}" for key, text in said.items())


def _ramp(name: str, config: TrainConfig) -> str:
    """The values of a ramp and the steps that they are reached after, and its text if that has epochs."""
    points = parse_points(getattr(config, name), name)
    given = config.durations.get(name, "")
    said = ", ".join(f"{point.value:g} after {point.time:,} steps" for point in points)
    return said + (f" ({given})" if given else "")


def loader(config: TrainConfig) -> list[str]:
    """A line with the decoding threads where they follow from the cores of the host."""
    if config.device == "cpu" or config.loader_threads:
        return []
    threads = decoding_threads(0, config.device, config.ranks_each)
    return [f"loader    {threads} decoding threads a rank, by the cores"]


def steps(name: str, config: TrainConfig) -> str:
    """The steps of setting `name`, and the epochs if it was given in such."""
    text = config.durations.get(name, "")
    return f"{getattr(config, name):,} steps" + (f" ({text})" if text else "")


def schedule(config: TrainConfig) -> str:
    """The schedule of the rate, with its milestones, its end and its warm-up."""
    said: str = config.schedule
    if config.schedule == "multistep":
        given = config.durations.get("milestones", "")
        times = ", ".join(f"{step:,}" for step in config.milestones) + (f" ({given})" if given else "")
        said += f", × {config.gamma:g} at {times}"
    if config.schedule in ("cosine", "linear"):
        said += f" to {config.lr * config.final_rate:g}"
    if config.warmup:
        given = config.durations.get("warmup", "")
        said += f", warm-up {warm_steps(config):,} steps" + (f" ({given})" if "e" in given else "")
    return said


def rows(declared: Loss, config: TrainConfig) -> list[str]:
    """A line on when class weights are updated, where it is not in the step after the backward pass."""
    if declared.form != "margin" or not config.rows_in_backward:
        return []
    return ["update    class weights within the backward pass, tile by tile: no gradient of them in memory"]


def usual(usual: Mapping[str, Value], asked: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """A line for what the backbone's usual settings decided, if they decided anything."""
    taken = [f"{key} {written(value)}" for key, value in usual.items() if key not in asked]
    return [f"usual     {', '.join(taken)}, as {config.backbone} is usually trained"] if taken else []


def given(asked: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """A line with every setting and plug-in's option that was given and has no line of its own."""
    named = [
        f"{key} {written(value)}"
        for key, value in asked.items()
        if key not in _SAID and not key.endswith("_options") and value not in (None, "")
    ]
    for group in OPTION_GROUPS:
        options = getattr(config, f"{group}_options")
        named += [f"{group}.{key} {written(options[key])}" for key in asked.get(f"{group}_options", {})]
    return [f"given     {', '.join(named)}"] if named else []


def idle(asked: Mapping[str, Any], config: TrainConfig) -> list[str]:
    """A line for each setting that was given and changes nothing."""
    lines = []
    for key, (other, wanted) in _ACTS_WITH.items():
        now = getattr(config, other)
        if asked.get(key) not in (None, "") and (now not in wanted if wanted else not now):
            lines.append(f"note      {key} does nothing: {other} is {written(now)}")
    for key, option in RAMPS.items():
        if getattr(config, key) and option in asked.get("loss_options", {}):
            lines.append(f"note      {option} does nothing: {key} sets it")
    late = [str(step) for step in config.milestones if step >= config.steps]
    if late:
        which = "every milestone" if len(late) == len(config.milestones) else f"milestone {', '.join(late)}"
        lines.append(
            f"note      {which} is never reached: the run ends at step {config.steps} "
            f"(milestones {', '.join(map(str, config.milestones))})"
        )
    return lines
