"""Batches of decoded images, made by threads a little ahead of the training."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

import torch
from arcterm_registry.contracts import FaceDataset

from arcterm.errors import DataError
from arcterm.formats import images
from arcterm.train.sampler import Choice

_AHEAD = 4


@dataclass(frozen=True)
class Batch:
    """`images` (B, H, W, 3) uint8 RGB, mirrored where the choice said so; `labels` (B,) int64."""

    step: int
    images: torch.Tensor
    labels: torch.Tensor


class Loader:
    """The batches of `choices`, in order; use it as a context manager.

    `choices` is drawn from in a thread of the loader's own. What goes wrong there or with a record is raised
    from the iteration, with the record's name.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        choices: Iterable[Choice],
        *,
        image_size: tuple[int, int],
        threads: int,
        pin: bool,
    ) -> None:
        self._dataset = dataset
        self._choices = choices
        self._size = image_size
        self._pin = pin
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._ready: queue.Queue[Batch | Exception | None] = queue.Queue(_AHEAD)
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
        while True:
            started = time.perf_counter()
            item = self._ready.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item, time.perf_counter() - started

    def _produce(self) -> None:
        try:
            for choice in self._choices:
                batch = self._batch(choice)
                if self._stopped.is_set():
                    return
                self._ready.put(batch)
            self._ready.put(None)
        except Exception as error:  # noqa: BLE001  carried to the thread that trains, which raises it
            self._ready.put(error)

    def _batch(self, choice: Choice) -> Batch:
        step, indices, mirrored = choice
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
