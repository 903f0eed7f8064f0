"""What can be picked: declarations, contracts and discovery of backbones, losses, datasets and more."""

from __future__ import annotations

from arcterm_registry.declare import (
    Backbone,
    Dataset,
    Declaration,
    Detector,
    Launcher,
    Loss,
    Option,
    OptionError,
    Preprocess,
    Tracker,
)

__all__ = [
    "Backbone",
    "Dataset",
    "Declaration",
    "Detector",
    "Launcher",
    "Loss",
    "Option",
    "OptionError",
    "Preprocess",
    "Tracker",
]
