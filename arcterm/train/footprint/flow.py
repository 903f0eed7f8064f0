"""How fast a host decodes images for its ranks, and how fast they write what a checkpoint holds."""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from arcterm_registry import get

from arcterm.config import TrainConfig
from arcterm.cores import decoding_threads
from arcterm.inputs import sources
from arcterm.runs.store import Run
from arcterm.train import build
from arcterm.train.checkpoint import contents, tensorfile, writing
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.checkpoint.writing import SavePoint
from arcterm.train.feed.loader import Loader
from arcterm.train.feed.sampler import Sampler
from arcterm.train.footprint.together import Worker
from arcterm.train.world import World

_SECONDS = 1.0
_PIECE = 128 << 20
_MOST_OF_FREE = 16
_KEPT, _ROUNDS = 2, 8  # checkpoints that stay while the next is written, and how many are
_MOST_IMAGES = 1 << 20


@dataclass(frozen=True)
class LoaderSpeed:
    """Images per second of a rank while the others of its host decode too, and CPU seconds for each."""

    rate: float
    cpu: float


@dataclass(frozen=True)
class DiskSpeed:
    """Seconds `start` that a checkpoint takes whatever its size, and bytes per second beyond them.

    These are written and synced by a rank `alone` or with the others, and copied in memory.
    """

    start: float
    alone: float
    together: float
    copy: float


def loader(config: TrainConfig, ranks: int, worker: Worker) -> LoaderSpeed:
    """Measure the loader of a rank of `config` for a second, all ranks of a host at once.

    What the system has in memory of the data is read from there.
    """
    faces = sources.from_config(config).open()
    # an order of all images would take longer to draw than this measures
    sampler = Sampler(min(len(faces), _MOST_IMAGES), config.batch_size, worker.rank, worker.ranks)
    threads = decoding_threads(config.loader_threads, config.device, ranks)
    shape = get("backbone", config.backbone).input_size
    done, began, busy = 0, 0.0, 0.0
    choices = sampler.choices(1, 1 << 40)
    with Loader(faces, choices, image_size=shape, threads=threads, augmentation=config) as batches:
        for batch, _ in batches:
            now = time.perf_counter()
            if not began:
                worker.meet()
                began, busy = time.perf_counter(), time.process_time()
                continue
            done += len(batch.labels)
            if now - began > _SECONDS:
                break
        spent = time.process_time() - busy
    return LoaderSpeed(rate=done / (now - began), cpu=spent / done)


def disk(config: TrainConfig, folder: Path, worker: Worker) -> DiskSpeed:
    """Commit checkpoints as a training does, each rank its own, below `folder`, and remove them."""
    free = shutil.disk_usage(folder).free
    size = min(_PIECE, free // _MOST_OF_FREE // (_KEPT + 1) // worker.ranks)
    with tempfile.TemporaryDirectory(prefix=".arcterm-probe-", dir=folder) as made:
        empty, full = _Saves(config, Path(made) / "empty", 0), _Saves(config, Path(made) / "full", size)
        start = _median(empty.save if worker.rank == 0 else _nothing, worker)
        alone = _median(full.save if worker.rank == 0 else _nothing, worker)
        together = _median(full.save, worker) if worker.ranks > 1 else alone
        copied = _median(full.copy, worker)

    def rate(seconds: float) -> float:
        # on a disk with little room what is written hardly takes longer than nothing
        return size / max(seconds - start, seconds / 2)

    return DiskSpeed(start=start, alone=rate(alone), together=rate(together), copy=size / copied)


class _Saves:
    """Checkpoints of a rank alone whose backbone and momenta have `size` bytes, in a new `folder`."""

    def __init__(self, config: TrainConfig, folder: Path, size: int) -> None:
        self._run = Run(folder)
        self._run.checkpoints.mkdir(parents=True)
        self._config = msgspec.structs.replace(config, keep_last=_KEPT, keep_best=0)
        weights = torch.nn.Parameter(torch.rand(size // 8))
        optimizer = torch.optim.SGD([weights], momentum=0.9)
        optimizer.state[weights]["momentum_buffer"] = torch.rand(size // 8)
        backbone = torch.nn.Module()
        backbone.register_parameter("weights", weights)
        head, of_head = build.head(config, 2, 2, World())
        self._trained = Trained(backbone, head, optimizer, of_head)
        self._step = 0

    def save(self) -> None:
        self._step += 1
        point = SavePoint(self._step, 1, "probe")
        writing.save(self._run, self._config, World(), self._trained, point)

    def copy(self) -> None:
        tensorfile.copy(contents.own(World(), self._trained))


def _nothing() -> None: ...


def _median(work: Callable[[], object], worker: Worker) -> float:
    """Seconds of `work`, all ranks beginning together, once as many checkpoints are there as are kept.

    Until then each fills memory that the system has not yet had in its hands, which takes it far longer.
    """
    taken = []
    for _ in range(_ROUNDS):
        worker.meet()
        began = time.perf_counter()
        work()
        taken.append(worker.most(time.perf_counter() - began))
    return statistics.median(taken[_KEPT + 1 :])
