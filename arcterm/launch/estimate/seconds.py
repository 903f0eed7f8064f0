"""The time of a training: by the multiply-adds of its backbone, or by a few steps that are tried."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import msgspec
from arcterm_registry import Backbone, PluginError, get

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.formats.modelfile import read_facts
from arcterm.launch.devices import cores
from arcterm.launch.estimate.need import Subject
from arcterm.launch.scaling import forecast, probes
from arcterm.launch.scaling.layout import HostLayout
from arcterm.text import duration

LONG_SECONDS = 3600.0
_GPU_FLOPS = 30e12
_CPU_SHARE = 0.5


def seconds(backbone: Backbone, config: TrainConfig) -> float:
    """Estimate the seconds of training: 6 × multiply-adds an image, at this machine's speed."""
    images = config.global_batch * config.steps
    flops = 6e9 * backbone.gmacs * images + 2e9 * _teacher_gmacs(config) * images
    if config.gpus:
        return flops / (_GPU_FLOPS * config.nproc)
    return flops / (_cpu_flops() * min(cores(), config.nproc * config.threads))


def _teacher_gmacs(config: TrainConfig) -> float:
    """Multiply-adds of a teacher, which only embeds, in billions an image; 0 without one."""
    facts = read_facts(Path(config.teacher)) if config.teacher else None
    return get("backbone", facts.backbone).gmacs if facts else 0.0


class Duration(NamedTuple):
    """Seconds of a training, and a line of its plan that says how they are known; empty if by arithmetic."""

    seconds: float
    line: str = ""


def probe(config: TrainConfig, subject: Subject, crude: float) -> Duration:
    """Reckon with a few steps that are tried, in a process of its own; `crude` where they can't be made."""
    tried = msgspec.structs.replace(config, compile=False)  # which takes minutes
    try:
        constants = probes.of_steps(tried, subject.facts.classes)
        counted = probes.traffic(tried)
    except (ArctermError, PluginError) as error:
        return Duration(
            crude, f"time      {duration(crude)} by arithmetic: no step could be tried ({error.message})"
        )
    case = forecast.Case(subject, config, HostLayout(1, config.nproc), constants, counted)
    step, pace = forecast.step(case).known, constants.pace
    assert pace is not None
    whole = step * config.steps
    made = f"{pace.steps} step{'s' * (pace.steps != 1)} of {pace.images} images"
    return Duration(whole, f"time      {duration(whole)}, {step:.3g} s a step, by {made} tried here")


def warning(seconds: float, config: TrainConfig) -> str:
    """Say that a training takes long and what is faster; empty below an hour."""
    if seconds <= LONG_SECONDS:
        return ""
    steps = max(1, int(config.steps * LONG_SECONDS / seconds))
    faster = f"--steps {steps} takes about an hour"
    if not config.gpus and config.backbone != "tiny":
        faster += f"; `arcterm train tiny {config.loss}` is made for a CPU"
    return f"this will take about {duration(seconds)} on this machine; faster: {faster}"


def _cpu_flops() -> float:
    """Multiply-adds of a core in training, per second: half of a timed float32 matrix product."""
    import numpy as np

    a = np.ones((512, 512), np.float32)
    a @ a
    started, used = time.perf_counter(), time.process_time()
    for _ in range(4):
        a @ a
    busy = max(time.process_time() - used, time.perf_counter() - started)
    return _CPU_SHARE * 4 * 2 * 512**3 / busy
