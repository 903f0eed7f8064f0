"""Verification between steps, and the checkpoints that training starts from."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import torch
from arcterm_registry import get
from arcterm_registry.contracts import FaceDataset, PairSet
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import nn

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, DataError, is_out_of_memory
from arcterm.formats import images
from arcterm.runs.events import Message, Phase, Verify
from arcterm.runs.journal import Sink
from arcterm.runs.store import Run
from arcterm.train import pretrained
from arcterm.train.checkpoint import reading, writing
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.mxnetfiles import MxnetFiles
from arcterm.train.pause import Pause
from arcterm.train.report import PhaseProgress
from arcterm.train.statistics import averaged
from arcterm.train.world import World
from arcterm.verify.embed import Embedder, Keep
from arcterm.verify.fold import fold_norms
from arcterm.verify.ranks import agree

FACES = 32
"""Images to look at where there is no verification set."""


class Examiner:
    """Verifies the network, at most once a step, and starts from saved ones. All ranks call it together."""

    def __init__(
        self,
        run: Run,
        config: TrainConfig,
        dataset: FaceDataset,
        trained: Trained,
        world: World,
        journal: Sink,
        pause: Pause,
    ) -> None:
        self._run = run
        self._pause = pause
        self._config = config
        self._dataset = dataset
        self._trained = trained
        self._world = world
        self._journal = journal
        self._mxnet = MxnetFiles(run, config, trained, journal)
        self._verified = -1
        self.unverified = False
        """Whether the restored checkpoint has yet to be verified, which was due at its step."""
        self._aside: set[str] = set()
        self.skipped = 0
        """Steps until the restored checkpoint that updated nothing."""
        self.gradient_scale = (0.0, 0)
        """That of the restored checkpoint's gradients in float16, and the steps since it last changed."""
        self.collapse = ""
        """How the network had collapsed at the last verification; empty if it had not."""

    def restore(self, path: Path) -> int:
        """Load a checkpoint; returns its step."""
        self._journal.write(Phase(phase="loading", detail=f"checkpoint {path.name}"))
        manifest = reading.restore(path, self._world, self._trained)
        if manifest.verification:
            self._verified = manifest.step
        # format 1 does not say whether it was verified; of the last step that is always due
        unseen = not manifest.verification and manifest.step == self._config.steps
        self.unverified = manifest.unverified or unseen
        self.skipped = manifest.skipped
        self.gradient_scale = manifest.gradient_scale, manifest.gradient_scale_steps
        return manifest.step

    def begin_from(self, path: Path) -> None:
        """Start with the weights of a checkpoint or a model file; raises `DataError` if they do not fit."""
        self._journal.write(Phase(phase="loading", detail=f"weights of {path}"))
        try:
            pretrained.load(path, self._trained, keep_head=self._config.head == "keep")
        except (SafetensorError, OSError, RuntimeError, KeyError) as error:
            if is_out_of_memory(error):
                raise
            raise DataError(
                f"the weights of {path} can't be loaded: {error}", "start a new run with another --pretrained"
            ) from error

    def verify(self, step: int) -> None:
        """Score every verification set and put the accuracies into the step's checkpoint; all ranks call it.

        Writes ``verify/step-….json`` and the events. A set that can't be scored is left out from now on.
        """
        if self._verified == step:
            return
        network = self._trained.verified
        with averaged(network, self._world):  # until there is a copy
            sizes = self._config.batch_size, self._world, self._journal
            made = embedder(self._config, network, *sizes, fold=bool(self._dataset.verification))
        results, failed = verify_sets(made, self._dataset.verification, step, self._journal, self._aside)
        for name, why in failed.items():
            self._say("warning", f"verification set {name} is set aside: {why}")
        self._aside |= failed.keys()
        self._judge(made, results, step)
        self._verified = step
        if self._world.first:
            self._mxnet.write(step, results)  # before it counts as verified, so that no kill comes in between
        self._pause.until_written(step, 0, lambda: self._put(results, step))
        self._journal.sync()
        self._journal.write(Phase(phase="training"))

    def _put(self, results: list[Verify], step: int) -> None:
        scores = {r.set: r.accuracy for r in results if r.accuracy is not None and not self.collapse}
        writing.put_scores(self._run, self._config, self._world, step, scores, results)

    def _judge(self, made: Embedder, results: list[Verify], step: int) -> None:
        """Warn if the network has collapsed, by the verification sets or else by training images."""
        collapse = next((r.collapse for r in results if r.collapse), "")
        if not results and len(faces := self._some_faces()):
            collapse = made.collapse_on(faces, "the training data")
        if collapse and not self.collapse:
            self._say(
                "warning",
                f"{collapse} (step {step}); a new run with a lower --lr or less weight_decay avoids it",
            )
        if self.collapse and not collapse:
            self._say("info", f"the network tells images apart again (step {step})")
        self.collapse = collapse

    def _some_faces(self) -> NDArray[np.uint8]:
        """Decode (N, H, W, 3) training images from all over the data; broken ones are left out."""
        size, found = get("backbone", self._config.backbone).input_size, []
        for index in np.unique(np.linspace(0, len(self._dataset) - 1, FACES).astype(int)).tolist():
            with contextlib.suppress(Exception):
                found.append(images.decode(self._dataset[index].image, size=size, source=str(index)))
        return np.array(found, np.uint8)

    def _say(self, level: str, text: str) -> None:
        self._journal.write(Message(level=level, text=text))


def embedder(
    config: TrainConfig,
    backbone: nn.Module,
    batch_size: int,
    world: World,
    journal: Sink,
    *,
    fold: bool = True,
) -> Embedder:
    """Make the embedder of `backbone`: a copy with its batch norms folded.

    In float32, so that accuracies compare with published ones, unless `precision` is bfloat16 on a GPU. For a
    few images not to `fold` is faster.
    """
    declared = get("backbone", config.backbone)
    if fold:
        network = fold_norms(
            backbone, declared.input_size, lambda text: journal.write(Message(level="info", text=text))
        )
    else:
        network = copy.deepcopy(backbone).eval().requires_grad_(False)
    half = config.precision == "bfloat16" and world.device.type == "cuda"
    dtype = torch.bfloat16 if half else torch.float32
    return Embedder(network, declared.preprocess, declared.input_size, batch_size, world, dtype)


def verify_sets(
    embedder: Embedder,
    sets: Mapping[str, PairSet],
    step: int,
    journal: Sink,
    leave_out: Collection[str] = (),
    between: Callable[[], None] = lambda: None,
    keep: Keep = lambda *_: None,
) -> tuple[list[Verify], dict[str, str]]:
    """Score each set in turn; returns the results and, by set, why it failed, the same on every rank.

    `between` is called by every rank before each set, `keep` with its embeddings and result.
    """
    names = [name for name in sets if name not in leave_out]
    results, failed = [], {}
    for number, name in enumerate(names, start=1):
        between()
        progress = PhaseProgress(journal, "verify", f"{name} ({number}/{len(names)})")
        try:
            pairs = agree(embedder.ranks, partial(_read, sets, name))
            results.append(embedder.verify(name, pairs, step, progress, keep))
        except DataError as error:
            failed[name] = error.message
        else:
            journal.write(results[-1])
    return results, failed


def _read(sets: Mapping[str, PairSet], name: str) -> PairSet:
    """Read a verification set; raises `DataError` for whatever a plug-in's data set raises."""
    try:
        return sets[name]
    except ArctermError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise DataError(f"it can't be read: {type(error).__name__}: {error}") from error
