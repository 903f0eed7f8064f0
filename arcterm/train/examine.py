"""Between steps: verification, and checkpoints that remember its results."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from arcterm_registry import get
from arcterm_registry.contracts import FaceDataset
from safetensors import SafetensorError
from torch import nn

from arcterm.config import TrainConfig
from arcterm.errors import DataError
from arcterm.runs.events import Message, Phase, Verify
from arcterm.runs.files import write_json
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run
from arcterm.train import checkpoint, pretrained
from arcterm.train.checkpoint import Trained
from arcterm.train.lazy import LazySGD
from arcterm.train.report import Teller
from arcterm.train.world import World
from arcterm.verify.embed import Embedder
from arcterm.verify.fold import folded


class Examiner:
    """Verifies and saves what is trained, each at most once a step. All ranks call it together."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        dataset: FaceDataset,
        trained: Trained,
        world: World,
        journal: Sink,
    ) -> None:
        self._run = run
        self._config = config
        self._dataset = dataset
        self._trained = trained
        self._world = world
        self._journal = journal
        self._scores: tuple[int, dict[str, float]] = (-1, {})

    def restore(self, path: Path) -> int:
        """Load a checkpoint; returns its step."""
        self._journal.write(Phase(phase="loading", detail=f"checkpoint {path.name}"))
        manifest = checkpoint.restore(path, self._world, self._trained)
        if manifest.verification:
            self._scores = (manifest.step, manifest.verification)
        return manifest.step

    def begin_from(self, path: Path) -> None:
        """Start with the weights of a checkpoint or a model file; raises `DataError` if they do not fit."""
        self._journal.write(Phase(phase="loading", detail=f"weights of {path}"))
        try:
            pretrained.load(path, self._trained, keep_head=self._config.head == "keep")
        except (SafetensorError, OSError, RuntimeError, KeyError) as error:
            raise DataError(
                f"the weights of {path} can't be loaded: {error}", "start a new run with another --pretrained"
            ) from error

    def verify(self, step: int) -> None:
        """Score every verification set, share out the work, write ``verify/step-….json`` and the events."""
        if self._scores[0] == step:
            return
        average_buffers(self._trained, self._world)
        made = embedder(
            self._config, self._trained.backbone, self._config.batch_size, self._world, self._journal
        )
        results = verify_sets(made, self._dataset, step, self._journal)
        self._scores = (step, {result.set: result.accuracy for result in results})
        if self._world.first and results:
            write_json(self._run.path / "verify" / f"step-{step:010d}.json", results)
            self._journal.sync()

    def save(self, step: int, epoch: int, reason: str, feed: Mapping[str, torch.Tensor]) -> None:
        """Commit a checkpoint of this step with the state of its `feed`, and its scores if there are any."""
        self._journal.write(Phase(phase="checkpoint", detail=f"step {step}"))
        if step == self._config.steps and isinstance(self._trained.head_optimizer, LazySGD):
            self._trained.head_optimizer.settle()  # nothing follows, so the weights are left as SGD has them
        average_buffers(self._trained, self._world)
        scores = self._scores[1] if self._scores[0] == step else {}
        saved = checkpoint.save(
            self._run,
            self._config,
            self._world,
            self._trained,
            step=step,
            epoch=epoch,
            reason=reason,
            scores=scores,
            feed=feed,
        )
        if saved:
            self._journal.write(saved)
            self._journal.sync()
        self._journal.write(Phase(phase="training"))


def embedder(
    config: TrainConfig, backbone: nn.Module, batch_size: int, world: World, journal: Sink
) -> Embedder:
    """`backbone` as it is verified: a copy with its batch norms folded.

    In float32, so that accuracies compare with published ones, unless a GPU was told bfloat16 in so many
    words.
    """
    declared = get("backbone", config.backbone)
    network = folded(
        backbone, declared.input_size, lambda text: journal.write(Message(level="info", text=text))
    )
    half = config.precision == "bfloat16" and world.device.type == "cuda"
    dtype = torch.bfloat16 if half else torch.float32
    return Embedder(network, declared.preprocess, declared.input_size, batch_size, world, dtype)


def verify_sets(embedder: Embedder, dataset: FaceDataset, step: int, journal: Sink) -> list[Verify]:
    """Score each set in turn, saying how far it is."""
    results = []
    for number, (name, pairs) in enumerate(dataset.verification.items(), start=1):
        say = Teller(journal, "verify", f"{name} ({number}/{len(dataset.verification)})")
        results.append(embedder.verify(name, pairs, step, say))
        journal.write(results[-1])
    return results


def average_buffers(trained: Trained, world: World) -> None:
    """Make running statistics, which each rank keeps of its own images, the mean of all ranks.

    In float64, so that the mean of what is equal already is the same to the last bit.
    """
    buffers = [b for b in trained.backbone.buffers() if b.is_floating_point()]
    if world.size == 1 or not buffers:
        return
    whole = world.sum(torch.cat([b.double().flatten() for b in buffers])).div_(world.size)
    for buffer, mean in zip(buffers, whole.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(mean.view_as(buffer))
