"""The learning rate of every step."""

from __future__ import annotations

import bisect

from arcterm.config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rate of `step`, 1 … `config.steps`.

    The first w = `warmup` · steps rise in a straight line: lr · step / w. From there on, poly: lr ·
    (1 - (step - 1 - w) / (steps - w))^power. multistep: lr · gamma^(milestones reached), also while the rate
    rises; a milestone m is reached after m steps.
    """
    rising = min(round(config.warmup * config.steps), config.steps - 1)
    rise = min(1.0, step / rising) if rising else 1.0
    if config.schedule == "multistep":
        return config.lr * rise * config.gamma ** bisect.bisect_left(config.milestones, step)
    gone = max(0, step - 1 - rising) / (config.steps - rising)
    return float(config.lr * rise * (1 - gone) ** config.power)


def usual_milestones(steps: int) -> list[int]:
    """Milestones of a multistep schedule over `steps` that names none: at 50, 70 and 90 %."""
    return sorted({steps * share // 100 for share in (50, 70, 90)} - {0})
