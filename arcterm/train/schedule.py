"""The learning rate of every step."""

from __future__ import annotations

import bisect

from arcterm.config import TrainConfig


def learning_rate(config: TrainConfig, step: int) -> float:
    """Rate of `step`, 1 … `config.steps`.

    poly: lr · (1 - (step - 1) / steps)^power. multistep: lr · gamma^(milestones reached); a milestone m is
    reached after m steps.
    """
    if config.schedule == "multistep":
        return config.lr * config.gamma ** bisect.bisect_left(config.milestones, step)
    return float(config.lr * (1 - (step - 1) / config.steps) ** config.power)
