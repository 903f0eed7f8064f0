"""Reading a checkpoint back, on any number of ranks."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from arcterm.errors import DataError, is_out_of_memory
from arcterm.runs import manifest as manifests
from arcterm.runs.checkpoints import Manifest
from arcterm.train.checkpoint import contents
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.head import file
from arcterm.train.head.head import Head
from arcterm.train.optim import averages, optimizers
from arcterm.train.world import World


def restore(path: Path, world: World, trained: Trained) -> Manifest:
    """Load a checkpoint with checked digests, on any number of ranks; `DataError` if it does not fit."""
    manifest = manifests.read(path)
    try:
        _load_weights(path, manifest, world, trained)
        optimizers.load(
            trained.backbone_optimizer,
            contents.learned(trained),
            load_file(path / contents.MOMENTUM),
            momentum="",
        )
        _load_head(path, manifest, world, trained)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise DataError(
            f"{path} does not fit this run: {error}", "resume with the plug-in versions of run.json"
        ) from error
    return manifest


def _load_weights(path: Path, manifest: Manifest, world: World, trained: Trained) -> None:
    """Load the weights that go on learning, and their average; where there was none it begins with them."""
    learning = contents.LEARNING in manifest.files
    # each rank's own; else their mean will do
    held = (
        load_file(path / contents.statistics(world)) if contents.statistics(world) in manifest.files else {}
    )
    own, averaged = averages.part(held)
    trained.backbone.load_state_dict(load_file(path / (contents.LEARNING if learning else contents.BACKBONE)))
    trained.backbone.load_state_dict(own, strict=False)
    if trained.average and learning:
        load_backbone(path, trained.average.network)
        trained.average.network.load_state_dict(averaged, strict=False)
    elif trained.average:
        trained.average.begin()


def load_backbone(path: Path, backbone: nn.Module) -> None:
    """Load only the backbone of a checkpoint, strictly."""
    backbone.load_state_dict(load_file(path / contents.BACKBONE))


def feed_state(path: Path) -> dict[str, Tensor]:
    """Load the round of mining that was in progress; {} if there was none."""
    return load_file(path / contents.FEED) if (path / contents.FEED).exists() else {}


def _load_head(path: Path, manifest: Manifest, world: World, trained: Trained) -> None:
    if manifest.classes != trained.head.count:
        raise DataError(
            f"{path} has {manifest.classes} classes, the data set {trained.head.count}",
            "resume with the data that the run was started with",
        )
    if isinstance(trained.head, Head):
        file.load(path, manifest.head, trained.head, trained.head_optimizer)
