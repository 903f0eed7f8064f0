"""The recipes that come with arcterm: a TOML file each, named as its entry point.

A file has the settings of a training, as ``--config`` takes them, and in ``[recipe]`` where they were
published.
"""

from __future__ import annotations

from pathlib import Path

from arcterm_registry import Recipe


def __getattr__(name: str) -> Recipe:
    """The recipe of the file beside with hyphens in its name; an entry point can have none."""
    file = Path(__file__).with_name(f"{name.replace('_', '-')}.toml")
    if not file.is_file():
        raise AttributeError(f"there is no {file.name}")
    return Recipe.read(file)
