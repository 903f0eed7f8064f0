"""What can be picked: declarations, contracts and discovery of backbones, losses, datasets and more."""

from __future__ import annotations

from arcterm_registry.declare import (
    Backbone,
    Dataset,
    Declaration,
    Detector,
    JobPath,
    JobSpec,
    Launcher,
    Loss,
    Option,
    OptionError,
    PerPlane,
    Preprocess,
    Recipe,
    Tracker,
)
from arcterm_registry.discover import (
    KINDS,
    Plugin,
    PluginError,
    find,
    get,
    locate,
    names,
    nearest,
    refresh,
    scan,
)

__all__ = [
    "KINDS",
    "Backbone",
    "Dataset",
    "Declaration",
    "Detector",
    "JobPath",
    "JobSpec",
    "Launcher",
    "Loss",
    "Option",
    "OptionError",
    "PerPlane",
    "Plugin",
    "PluginError",
    "Preprocess",
    "Recipe",
    "Tracker",
    "find",
    "get",
    "locate",
    "names",
    "nearest",
    "refresh",
    "scan",
]
