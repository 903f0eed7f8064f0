"""Lines of the plan of a resume about what it changes."""

from __future__ import annotations

from typing import Any

from arcterm.commandline import written
from arcterm.config import TrainConfig
from arcterm.launch.launchers import chosen as launchers
from arcterm.launch.resume.changes import PLAIN
from arcterm.schedules.rate import learning_rate


def lines(old: TrainConfig, new: TrainConfig, step: int, *, by_epochs: bool) -> list[str]:
    """Say how `new`, which goes on after `step`, differs from `old`, which may have counted epochs."""
    return [
        f"resume    from step {step:,}",
        *_launcher(old, new),
        *_data(old, new),
        *_batch(old, new, step),
        *_length(old, new, by_epochs),
        *_rate(old, new, step),
        *_others(old, new),
    ]


def _launcher(old: TrainConfig, new: TrainConfig) -> list[str]:
    changed = (old.launcher, old.launcher_options) != (new.launcher, new.launcher_options)
    return (launchers.notes(new) or [f"launcher  {new.launcher}"]) if changed else []


def _data(old: TrainConfig, new: TrainConfig) -> list[str]:
    if (old.dataset, old.dataset_options) == (new.dataset, new.dataset_options):
        return []
    return [f"data      {_place(new)} instead of {_place(old)}"]


def _place(config: TrainConfig) -> Any:
    return config.dataset_options.get("path") or config.dataset_options.get("paths") or config.dataset


def _batch(old: TrainConfig, new: TrainConfig, step: int) -> list[str]:
    where = (old.nproc, old.gpus, old.device, old.hosts) != (new.nproc, new.gpus, new.device, new.hosts)
    if not where and (old.batch_size, old.accumulate) == (new.batch_size, new.accumulate):
        return []
    ranks = [f"ranks     {_ranks(new)} instead of {_ranks(old)}"] if where else []
    images = f"batch     {new.product} = {new.global_batch} images a step"
    if new.global_batch == old.global_batch:
        return [*ranks, f"{images} as before"]
    return [*ranks, f"{images} instead of {old.global_batch} from step {step + 1:,} on"]


def _ranks(config: TrainConfig) -> str:
    if config.is_remote:
        what = f"{len(config.gpus)} GPUs" if config.gpus else f"{config.ranks_each} CPU ranks"
        return f"{config.hosts} × {what}"
    if config.gpus:
        return f"GPU {', '.join(map(str, config.gpus))}"
    return f"{config.nproc} CPU rank{'s' * (config.nproc > 1)}"


def _length(old: TrainConfig, new: TrainConfig, by_epochs: bool) -> list[str]:
    if new.steps == old.steps:
        return []
    epochs = f"{new.epochs} epochs"
    if by_epochs and new.epochs == old.epochs:
        epochs += " as before"
    anew = "the schedule is laid anew over them"
    return [f"length    {new.steps:,} steps ({epochs}) instead of {old.steps:,}; {anew}"]


def _rate(old: TrainConfig, new: TrainConfig, step: int) -> list[str]:
    """A line where the rate of the next step, or the peak, is another."""
    if step >= new.steps:
        return []
    ended = step >= old.steps
    before, after = learning_rate(old, min(step + 1, old.steps)), learning_rate(new, step + 1)
    if before == after and new.lr == old.lr and not ended:
        return []
    was = f"it was {before:.4g} at the last" if ended else f"instead of {before:.4g}"
    peak = f"peak {new.lr:g}" + (f" instead of {old.lr:g}" if new.lr != old.lr else " as before")
    return [f"lr        {after:.4g} at step {step + 1:,}, {was}; {peak}"]


def _others(old: TrainConfig, new: TrainConfig) -> list[str]:
    named = [
        f"{name} {_value(new, name)} instead of {_value(old, name)}"
        for name in (*PLAIN, "milestones", "track")
        if _value(old, name) != _value(new, name)
    ]
    return [f"changed   {', '.join(named)}"] if named else []


def _value(config: TrainConfig, name: str) -> str:
    value = config.durations.get(name) or getattr(config, name)
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else written(value)
