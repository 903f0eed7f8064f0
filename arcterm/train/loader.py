"""Batches of decoded images, made by threads a little ahead of the training."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import numpy as np
import torch
from arcterm_registry.contracts import FaceDataset

from arcterm.errors import DataError
from arcterm.formats import images
from arcterm.train.sampler import Sampler

_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """`images` (B, H, W, 3) uint8 RGB, mirrored where the sampler said so; `labels` (B,) int64."""

    step: int
    images: torch.Tensor
    labels: torch.Tensor


class Loader:
    """The batches of steps `first` … `last` of one rank, in order; use it as a context manager.

    What goes wrong with a record is raised from the iteration, with the record's name.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        sampler: Sampler,
        *,
        image_size: tuple[int, int],
        first: int,
        last: int,
        threads: int,
        pin: bool,
    ) -> None:
        self._dataset = dataset
        self._sampler = sampler
        self._size = image_size
        self._steps = range(first, last + 1)
        self._pin = pin
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._ready: queue.Queue[Batch | Exception] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._producer = threading.Thread(target=self._produce, name="loader", daemon=True)

    def __enter__(self) -> Loader:
        self._producer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stopped.set()
        while self._producer.is_alive():  # it may be waiting for room
            while not self._ready.empty():
                self._ready.get_nowait()
            self._producer.join(timeout=0.05)
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[Batch, float]]:
        """Each batch with the seconds that were spent waiting for it."""
        for _ in self._steps:
            started = time.perf_counter()
            item = self._ready.get()
            if isinstance(item, Exception):
                raise item
            yield item, time.perf_counter() - started

    def _produce(self) -> None:
        try:
            epoch, order = -1, np.empty(0, np.int64)
            for step in self._steps:
                if self._sampler.epoch_of(step) != epoch:
                    epoch = self._sampler.epoch_of(step)
                    order = self._sampler.order(epoch)
                batch = self._batch(step, order)
                if self._stopped.is_set():
                    return
                self._ready.put(batch)
        except Exception as error:  # noqa: BLE001  carried to the thread that trains, which raises it
            self._ready.put(error)

    def _batch(self, step: int, order: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Batch:
        indices, mirrored = self._sampler.batch(step, order)
        pixels = torch.empty((len(indices), *self._size, 3), dtype=torch.uint8, pin_memory=self._pin)
        labels = torch.empty(len(indices), dtype=torch.int64, pin_memory=self._pin)
        view = pixels.numpy()

        def fill(slot: int) -> None:
            record = self._dataset[int(indices[slot])]
            if not 0 <= record.label < self._dataset.classes:
                raise DataError(
                    f"{record.source}: label {record.label} is outside the {self._dataset.classes} classes",
                    "pack the data again, or correct the class count in its property file",
                )
            image = images.decode(record.image, size=self._size, source=record.source)
            view[slot] = image[:, ::-1] if mirrored[slot] else image
            labels[slot] = record.label

        list(self._pool.map(fill, range(len(indices))))
        return Batch(step, pixels, labels)
