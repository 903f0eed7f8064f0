"""Batches of decoded images, made by threads a little ahead of the training, straight into reused memory."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from types import TracebackType

import cv2
import numpy as np
import torch
from arcterm_registry.contracts import FaceDataset
from numpy.typing import NDArray

from arcterm.config import Augmentation
from arcterm.errors import DataError, TrainingError, is_out_of_memory
from arcterm.formats import images
from arcterm.train.feed.augment import UNCHANGED, Draws, draw
from arcterm.train.feed.cache import DecodedCache
from arcterm.train.feed.quarantine import Quarantine
from arcterm.train.feed.sampler import BatchIndices
from arcterm.train.feed.upload import Upload

_AHEAD = 4
_IN_WORK = 2
_CPU = torch.device("cpu")

Substitutes = Callable[[int], Iterator[int]]


@dataclass(frozen=True)
class Batch:
    """`images` (B, H, W, 3) uint8 RGB, augmented; `labels` (B,) int64; both on the loader's device.

    On a CPU both are the loader's own memory, which is filled again once the next batch is asked for. On a
    GPU they are there once `arrived`, which the loader's iteration waits for.
    """

    step: int
    images: torch.Tensor
    labels: torch.Tensor
    arrived: torch.cuda.Event | None = None

    def parts(self, count: int) -> list[Batch]:
        """Split it into `count` equal ones, in order, without copying."""
        pairs = zip(self.images.chunk(count), self.labels.chunk(count), strict=True)
        return [replace(self, images=images, labels=labels) for images, labels in pairs]


class _Buffer:
    """Host memory for a batch."""

    def __init__(self, size: int, shape: tuple[int, int], pin: bool) -> None:
        self.images = torch.empty((size, *shape, 3), dtype=torch.uint8, pin_memory=pin)
        self.labels = torch.empty(size, dtype=torch.int64, pin_memory=pin)
        self.mirrored = torch.empty(size, dtype=torch.bool, pin_memory=pin)
        self.pixels: NDArray[np.uint8] = self.images.numpy()
        self.numbers: NDArray[np.int64] = self.labels.numpy()


class Loader:
    """The batches of `choices`, in order; use it as a context manager.

    `choices` is drawn from in a thread of the loader's own, and every batch shared out to `threads` others.
    A record that can't be used goes into `quarantine`, if there is one, and another takes its place; else,
    and where something else goes wrong, it is raised from the iteration. With `cache` images are decoded
    once. On a GPU a batch is sent to the device beside the work of others, and mirrored there.
    """

    def __init__(
        self,
        dataset: FaceDataset,
        choices: Iterable[BatchIndices],
        *,
        image_size: tuple[int, int],
        threads: int,
        device: torch.device = _CPU,
        augmentation: Augmentation = UNCHANGED,
        cache: DecodedCache | None = None,
        quarantine: Quarantine | None = None,
        substitutes: Substitutes | None = None,
    ) -> None:
        self._dataset = dataset
        self._choices = choices
        self._size = image_size
        self._threads = threads
        self._augmentation = augmentation
        self._cache = cache
        self._quarantine = quarantine
        self._substitutes = substitutes or (quarantine.substitutes if quarantine else lambda index: iter(()))
        self._upload = Upload(device) if device.type == "cuda" else None
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._ready: queue.Queue[Batch | Exception | None] = queue.Queue(_AHEAD)
        self._free: queue.LifoQueue[_Buffer | None] = queue.LifoQueue()  # the last is still in cache
        self._sent: deque[tuple[_Buffer, torch.cuda.Event]] = deque()
        self._buffers = 0
        self._lent: dict[int, _Buffer] = {}
        self._stopped = threading.Event()
        self._producer = threading.Thread(target=self._produce, name="loader", daemon=True)

    def __enter__(self) -> Loader:
        self._producer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stopped.set()
        while self._producer.is_alive():  # it may be waiting for room, or for memory
            self._free.put(None)
            while not self._ready.empty():
                self._ready.get_nowait()
            self._producer.join(timeout=0.05)
        self._pool.shutdown(cancel_futures=True)

    def __iter__(self) -> Iterator[tuple[Batch, float]]:
        """Yield each batch with the seconds spent waiting for it."""
        while True:
            started = time.perf_counter()
            item = self._ready.get()
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            if self._upload is not None and item.arrived is not None:
                self._upload.receive(item.images, item.labels, item.arrived)
            yield item, time.perf_counter() - started
            if lent := self._lent.pop(item.step, None):
                self._free.put(lent)

    def _produce(self) -> None:
        """Keep a few batches in work, so that no thread waits for the slowest of a batch."""
        working: deque[tuple[BatchIndices, _Buffer, list[Future[None]]]] = deque()
        try:
            for choice in self._choices:
                buffer = self._buffer(len(choice.indices))
                if buffer is None:
                    return
                working.append((choice, buffer, self._start(choice, buffer)))
                if len(working) == _IN_WORK and not self._deliver(*working.popleft()):
                    return
            while working:
                if not self._deliver(*working.popleft()):
                    return
            self._ready.put(None)
        except Exception as error:  # noqa: BLE001  carried to the thread that trains, which raises it
            self._ready.put(error)

    def _buffer(self, size: int) -> _Buffer | None:
        """Find memory for a batch: a free buffer, else a new one up to a limit; None after a stop."""
        while self._sent and self._sent[0][1].query():
            self._free.put(self._sent.popleft()[0])
        if self._free.empty() and self._buffers < _AHEAD + _IN_WORK + 1:
            self._buffers += 1
            return _Buffer(size, self._size, pin=self._upload is not None)
        if self._free.empty() and self._sent:
            sent, copied = self._sent.popleft()
            copied.synchronize()
            self._free.put(sent)
        buffer = self._free.get()
        if buffer is None or len(buffer.numbers) == size:
            return buffer
        return _Buffer(size, self._size, pin=self._upload is not None)

    def _start(self, choice: BatchIndices, buffer: _Buffer) -> list[Future[None]]:
        """Hand a batch to the threads, a run of slots each."""
        count = len(choice.indices)
        draws = draw(self._augmentation, choice.keys)
        buffer.mirrored.numpy()[:] = draws.chosen["mirror"]
        ends = [count * n // self._threads for n in range(self._threads + 1)]
        return [
            self._pool.submit(self._fill, choice, buffer, draws, range(first, end))
            for first, end in pairwise(ends)
            if first < end
        ]

    def _deliver(self, choice: BatchIndices, buffer: _Buffer, parts: list[Future[None]]) -> bool:
        """Pass on a batch when it is complete; False after a stop."""
        for part in parts:
            part.result()
        if self._stopped.is_set():
            return False
        if self._cache is not None:
            self._cache.mark(choice.indices)
        if self._upload is None:
            self._lent[choice.step] = buffer
            self._ready.put(Batch(choice.step, buffer.images, buffer.labels))
            return True
        sent = self._upload.send(buffer.images, buffer.labels, buffer.mirrored)
        self._sent.append((buffer, sent.copied))
        self._ready.put(Batch(choice.step, sent.images, sent.labels, sent.arrived))
        return True

    def _fill(self, choice: BatchIndices, buffer: _Buffer, draws: Draws, slots: range) -> None:
        """Read, decode and augment some images of a batch, in one thread."""
        part = slice(slots.start, slots.stop)
        indices, changed = choice.indices[part].tolist(), draws.any[part].tolist()
        mirrored = draws.chosen["mirror"][part].tolist()
        on_host = self._upload is None
        labels = []
        for slot, index, change, flip in zip(slots, indices, changed, mirrored, strict=True):
            pixels = buffer.pixels[slot]
            labels.append(self._read(index, pixels))
            if change:
                draws.apply(pixels, slot)
            if flip and on_host:
                cv2.flip(pixels, 1, pixels)
        buffer.numbers[part] = labels

    def _read(self, index: int, pixels: NDArray[np.uint8]) -> int:
        """Fill `pixels` with image `index` or its substitute; returns the label."""
        if self._cache is not None and self._cache.has(index):
            return self._cache.get(index, pixels)
        try:
            label = self._decode(index, pixels)
        except Exception as error:
            if is_out_of_memory(error):
                raise
            if self._quarantine is None:
                raise
            label = self._substitute(index, error, pixels)
        if self._cache is not None:
            self._cache.put(index, pixels, label)
        return label

    def _substitute(self, index: int, error: Exception, pixels: NDArray[np.uint8]) -> int:
        """Put the first substitute that can be used into `pixels`; returns its label."""
        assert self._quarantine is not None
        self._quarantine.add(index, error)
        for other in self._substitutes(index):
            try:
                return self._decode(other, pixels)
            except Exception as another:
                if is_out_of_memory(another):
                    raise
                # listed, counted and bounded
                self._quarantine.add(other, another)
        raise TrainingError(
            f"record {index} can't be used and nothing can take its place: {error}",
            "`arcterm data check SRC` names everything that is wrong with the data",
        )

    def _decode(self, index: int, pixels: NDArray[np.uint8]) -> int:
        record = self._dataset[index]
        if not 0 <= record.label < self._dataset.classes:
            raise DataError(
                f"{record.source}: label {record.label} is outside the {self._dataset.classes} classes",
                "pack the data again, or correct the class count in its property file",
            )
        images.decode_into(pixels, record.image, record.source)
        return record.label
