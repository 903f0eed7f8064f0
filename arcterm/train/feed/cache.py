"""Decoded images in memory, one copy for all ranks of a host: decoded once, copied from then on."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.errors import TrainingError
from arcterm.formats.images import Pixels
from arcterm.train.world import World


class DecodedCache:
    """The first `capacity` images of a data set, by index, as far as they were stored.

    The memory has no name in any file system, so it is gone with the last rank, whatever ends it. An image
    is stored by one thread and marked by another, later one, which orders the two for all who look.
    """

    def __init__(self, memory: mmap.mmap, capacity: int, image_size: tuple[int, int]) -> None:
        self.capacity = capacity
        self._labels = np.frombuffer(memory, np.int64, capacity)
        self._there = np.frombuffer(memory, np.bool_, capacity, 8 * capacity)
        shape = (capacity, *image_size, 3)
        self._pixels = np.frombuffer(memory, np.uint8, int(np.prod(shape)), 9 * capacity).reshape(shape)

    @classmethod
    def make(cls, count: int, image_size: tuple[int, int], budget: int, world: World) -> DecodedCache | None:
        """Make a cache for `count` images in at most `budget` bytes; None if none fits. All ranks call it.

        Raises `TrainingError` if the memory can't be had.
        """
        each = 9 + image_size[0] * image_size[1] * 3
        capacity = min(count, budget // each)
        if not capacity:
            return None
        try:
            return cls(_shared(capacity * each, world), capacity, image_size)
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{capacity * each >> 20:,} MiB for decoded images can't be had: {error}",
                "`arcterm resume RUN` with a lower --set decoded_cache goes on",
            ) from None

    def has(self, index: int) -> bool:
        return index < self.capacity and bool(self._there[index])

    def get(self, index: int, slot: Pixels) -> int:
        """Copy image `index` to `slot`, uint8 (H, W, 3); returns its label."""
        slot[:] = self._pixels[index]
        return int(self._labels[index])

    def put(self, index: int, pixels: Pixels, label: int) -> None:
        """Store image `index`; it is there once it is marked."""
        if index < self.capacity:
            self._pixels[index] = pixels
            self._labels[index] = label

    def mark(self, indices: NDArray[np.int64]) -> None:
        """Mark images as stored, once the threads that stored them have ended their work."""
        self._there[indices[indices < self.capacity]] = True


def _shared(size: int, world: World) -> mmap.mmap:
    """Map the same `size` bytes of anonymous memory in every rank of a host, through the first one's."""
    own = -1
    if world.local_rank == 0:
        own = os.memfd_create("arcterm-decoded", os.MFD_CLOEXEC)
        os.ftruncate(own, size)
    where = torch.tensor([[os.getpid(), own, world.rank - world.local_rank]], dtype=torch.int64)
    owners = world.gather(where).tolist()
    pid, number, _ = next(row for row in owners if row[2] == world.rank - world.local_rank and row[1] >= 0)
    with Path(f"/proc/{pid}/fd/{number}").open("r+b") as file:
        memory = mmap.mmap(file.fileno(), size)
    world.barrier()  # no rank closes what others have yet to open
    if own >= 0:
        os.close(own)
    return memory
