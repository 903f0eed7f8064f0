"""Check that a backbone can be trained with one image a rank."""

from __future__ import annotations

from collections.abc import Mapping

from arcterm.commandline import Value
from arcterm.errors import ConfigError
from arcterm.processes import child


def check(backbone: str, options: Mapping[str, Value], batch: int) -> None:
    """Raise `ConfigError` if `batch` images leave a batch norm of the backbone with one value a channel.

    Only a batch of 1 can, and only a trial shows it: a batch norm over a map has many values of an image, one
    over the embedding has one.
    """
    if batch == 1 and child.ask("normalises", {"backbone": backbone, "options": options})["alone"]:
        raise ConfigError(
            f"backbone {backbone!r} can't be trained with 1 image a rank: "
            "its batch norm needs two to tell what is usual",
            "raise --batch-size to 2 or more; 32 and up train well",
        )
