"""The learning rate of every step."""

from __future__ import annotations

import bisect
import math

from arcterm.config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rate of `step`, 1 … `config.steps`.

    The first w = `warmup` · steps rise in a straight line: lr · step / w. From there on, with
    u = (step - 1 - w) / (steps - w) of the rest gone and f = `final_rate`, poly: lr · (1 - u)^power; linear:
    lr · (f + (1 - f) · (1 - u)); cosine: lr · (f + (1 - f) · (1 + cos πu) / 2) (Loshchilov and Hutter 2017,
    arXiv 1608.03983). multistep: lr · gamma^(milestones reached), also while the rate rises; a milestone m is
    reached after m steps.
    """
    rising = warm_steps(config)
    rise = min(1.0, step / rising) if rising else 1.0
    if config.schedule == "multistep":
        return config.lr * rise * config.gamma ** bisect.bisect_left(config.milestones, step)
    gone = max(0, step - 1 - rising) / (config.steps - rising)
    if config.schedule == "poly":
        return float(config.lr * rise * (1 - gone) ** config.power)
    left = 1 - gone if config.schedule == "linear" else (1 + math.cos(math.pi * gone)) / 2
    return config.lr * rise * (config.final_rate + (1 - config.final_rate) * left)


def warm_steps(config: TrainConfig) -> int:
    """Steps in which the rate rises; the last is none of them."""
    return min(round(config.warmup * config.steps), config.steps - 1)


def usual_milestones(steps: int) -> list[int]:
    """Milestones of a multistep schedule over `steps` that names none: at 50, 70 and 90 %."""
    return sorted({steps * share // 100 for share in (50, 70, 90)} - {0})
