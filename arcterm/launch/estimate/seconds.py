"""The time of a training, by the multiply-adds of its backbone."""

from __future__ import annotations

import time

from arcterm_registry import Backbone

from arcterm.config import TrainConfig
from arcterm.launch.devices import cores
from arcterm.text import duration

LONG_SECONDS = 3600.0
_GPU_FLOPS = 30e12
_CPU_SHARE = 0.5


def seconds(backbone: Backbone, config: TrainConfig) -> float:
    """Estimate the seconds of training: 6 × multiply-adds an image, at this machine's speed."""
    flops = 6e9 * backbone.gmacs * config.global_batch * config.steps
    if config.gpus:
        return flops / (_GPU_FLOPS * config.nproc)
    return flops / (_cpu_flops() * min(cores(), config.nproc * config.threads))


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
