"""How fast a host decodes images for its ranks, and how fast they write what a checkpoint holds."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from arcterm_registry import get

from arcterm.config import TrainConfig
from arcterm.cores import decoding_threads
from arcterm.inputs import sources
from arcterm.train.checkpoint import tensorfile
from arcterm.train.feed.loader import Loader
from arcterm.train.feed.sampler import Sampler
from arcterm.train.footprint.together import Worker

_SECONDS = 1.0
_PIECE = 128 << 20
_MOST_OF_FREE = 16
_MOST_IMAGES = 1 << 20


@dataclass(frozen=True)
class LoaderSpeed:
    """Images per second of a rank while the others of its host decode too, and CPU seconds for each."""

    rate: float
    cpu: float


@dataclass(frozen=True)
class DiskSpeed:
    """Bytes per second that a rank writes and syncs, alone or with the others, and copies in memory."""

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


def disk(folder: Path, worker: Worker) -> DiskSpeed:
    """Write as a checkpoint is written, into a file of `folder` that is removed again."""
    size = min(_PIECE, shutil.disk_usage(folder).free // _MOST_OF_FREE // worker.ranks)
    tensors = {"rows": torch.rand(size // 4)}
    began = time.perf_counter()
    tensorfile.copy({"file": tensors})
    copied = size / worker.most(time.perf_counter() - began)
    with tempfile.TemporaryDirectory(prefix=".arcterm-probe-", dir=folder) as made:
        path = Path(made) / f"{os.getpid()}"
        alone = size / worker.most(_write(path, tensors) if worker.rank == 0 else 0.0)
        together = size / worker.most(_write(path, tensors)) if worker.ranks > 1 else alone
    return DiskSpeed(alone=alone, together=together, copy=copied)


def _write(path: Path, tensors: dict[str, torch.Tensor]) -> float:
    began = time.perf_counter()
    tensorfile.write(path, tensors)
    return time.perf_counter() - began
