"""Between steps: verification, and checkpoints that remember its results."""

from __future__ import annotations

import time
from pathlib import Path

from arcterm_registry import get
from arcterm_registry.contracts import FaceDataset

from arcterm.config import TrainConfig
from arcterm.runs.events import Phase, Verify
from arcterm.runs.files import write_json
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run
from arcterm.train import checkpoint
from arcterm.train.checkpoint import Trained
from arcterm.train.world import World
from arcterm.verify.embed import Embedder

_SAY_EVERY = 0.5


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

    def verify(self, step: int) -> None:
        """Score every verification set, share out the work, write ``verify/step-….json`` and the events."""
        if self._scores[0] == step:
            return
        average_buffers(self._trained, self._world)
        declared = get("backbone", self._config.backbone)
        backbone = self._trained.backbone.eval()
        embedder = Embedder(
            backbone, declared.preprocess, declared.input_size, self._config.batch_size, self._world
        )
        results = verify_sets(embedder, self._dataset, step, self._journal)
        backbone.train()
        self._scores = (step, {result.set: result.accuracy for result in results})
        if self._world.first and results:
            write_json(self._run.path / "verify" / f"step-{step:010d}.json", results)
            self._journal.sync()

    def save(self, step: int, epoch: int, reason: str) -> None:
        """Commit a checkpoint of this step, with the scores of this step if there are any."""
        self._journal.write(Phase(phase="checkpoint", detail=f"step {step}"))
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
        )
        if saved:
            self._journal.write(saved)
            self._journal.sync()
        self._journal.write(Phase(phase="training"))


def verify_sets(embedder: Embedder, dataset: FaceDataset, step: int, journal: Sink) -> list[Verify]:
    """Score each set in turn, saying how far it is."""
    results = []
    for number, (name, pairs) in enumerate(dataset.verification.items(), start=1):
        last = 0.0

        def say(
            done: int, total: int, detail: str = f"{name} ({number}/{len(dataset.verification)})"
        ) -> None:
            nonlocal last
            if time.monotonic() - last > _SAY_EVERY:
                last = time.monotonic()
                journal.write(Phase(phase="verify", detail=detail, done=done, total=total))

        results.append(embedder.verify(name, pairs, step, say))
        journal.write(results[-1])
    return results


def average_buffers(trained: Trained, world: World) -> None:
    """Make running statistics, which each rank keeps of its own images, the mean of all ranks."""
    if world.size == 1:
        return
    for buffer in trained.backbone.buffers():
        if buffer.is_floating_point():
            world.sum(buffer).div_(world.size)
