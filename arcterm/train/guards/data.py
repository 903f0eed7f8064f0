"""Checks of the data of a training, and the seed of a step."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from arcterm.config import TrainConfig
from arcterm.errors import DataError
from arcterm.files import read_json
from arcterm.inputs import sources
from arcterm.runs import dataset
from arcterm.runs.checkpoints import MANIFEST, Manifest
from arcterm.runs.store import Run
from arcterm.train.checkpoint import reading


def check_same_data(run: Run, images: int, classes: int) -> None:
    """Raise `DataError` if the data set is not the size that it had when the run was last looked at.

    What is in it was compared before the launch.
    """
    was = dataset.current(run)
    if was and (was.images, was.classes) != (images, classes):
        raise DataError(
            f"the data set changed: {images} images of {classes} people, "
            f"it had {was.images} of {was.classes} when the run was made",
            f"put the data back, or `arcterm resume {run.id}`, which says how to go on",
        )


def check_same_content(run: Run, config: TrainConfig) -> None:
    """Raise `DataError` if the data isn't what was resumed, as the host of the ranks sees it."""
    was = dataset.current(run)
    if was is None:
        return
    said = dataset.changed(was, sources.from_config(config).inspect())
    if said:
        raise DataError(
            f"the data set changed since this attempt was started: {said}",
            f"`arcterm resume {run.id}` says how to go on",
        )


def feed_state(run: Run, path: Path) -> dict[str, Tensor]:
    """Load the feed's state from the checkpoint `path`; {} if it was of data that has changed since."""
    if dataset.accepted_since(run, read_json(path / MANIFEST, Manifest).t):
        return {}
    return reading.feed_state(path)


def step_seed(seed: int, step: int, rank: int) -> int:
    """Seed of everything random in a step on a rank."""
    return (seed * 1_000_003 + step) * 65_537 + rank
