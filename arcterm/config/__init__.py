"""Configs of runs, frozen and checked: begin with `training`. `settings` lists what can be set."""

from __future__ import annotations

from arcterm.config.job import JobConfig, job_config
from arcterm.config.placement import registered
from arcterm.config.texts import PATH_FIELD, PLACE_FIELD, field_text
from arcterm.config.training import Augmentation, TrainConfig

Config = TrainConfig | JobConfig

__all__ = [
    "PATH_FIELD",
    "PLACE_FIELD",
    "Augmentation",
    "Config",
    "JobConfig",
    "TrainConfig",
    "field_text",
    "job_config",
    "registered",
]
