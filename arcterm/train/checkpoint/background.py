"""Writing a checkpoint while steps go on: from a copy in the host's memory, by a thread.

The copy is taken at a step that all ranks agreed on, so what is saved is the step's whichever steps follow.
The thread only writes: what ranks do together stays with the thread that trains, at steps that they agree on.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import psutil
import torch
from torch import Tensor

from arcterm.config import TrainConfig
from arcterm.host import limits
from arcterm.runs import space
from arcterm.runs.events import Checkpoint
from arcterm.runs.store import Run
from arcterm.train.checkpoint import contents, tensorfile
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.checkpoint.writing import SavePoint, Saving, is_saved, require_finite
from arcterm.train.world import World


def lacks_memory(world: World, size: int) -> bool:
    """Whether a copy of `size` bytes of this rank finds no room in the host's memory on some rank."""
    # as if all ranks were on one host: they copy at the same time
    whole = int(world.sum(torch.tensor([size], dtype=torch.float64)).item())
    return world.any(free_memory() < space.copy_bytes(whole))


def free_memory() -> int:
    """Bytes of the host's memory that are free, within the limits of this process's control groups."""
    left = [limit - used for limit, used in limits.memory_limits()]
    return min([psutil.virtual_memory().available, *left])


class Background:
    """Writes one checkpoint at a time; all ranks call `begin`, `finish` and `again` together."""

    def __init__(self, run: Run, config: TrainConfig, world: World) -> None:
        self._run = run
        self._config = config
        self._world = world
        self._saving: Saving | None = None
        self._thread = threading.Thread()
        self._waited = 0.0

    @property
    def step(self) -> int | None:
        """The step whose checkpoint is being written, or is to be committed; None if there is none."""
        return self._saving.point.step if self._saving else None

    @property
    def size(self) -> int:
        """Bytes of this rank's part of it."""
        return self._saving.size if self._saving else 0

    def busy(self) -> bool:
        """Whether this rank is still writing."""
        return self._thread.is_alive()

    def begin(self, trained: Trained, point: SavePoint, feed: Mapping[str, Tensor]) -> None:
        """Copy what is to be saved and write it from now on, unless there is a checkpoint of that step.

        Raises `TrainingError` on all ranks if a number in it is not finite.
        """
        started = time.perf_counter()
        if is_saved(self._run, self._world, point.step):
            return
        # looked for now, and not as the others do after writing: the error belongs to this step
        require_finite(self._run, self._world, point.step, trained)
        held = tensorfile.copy(contents.own(self._world, trained, feed))
        self._saving = Saving(self._run, self._config, self._world, trained, point, held)
        self._thread = threading.Thread(target=self._saving.write, name="checkpoint")
        self._thread.start()
        self._waited = time.perf_counter() - started

    def finish(self) -> Checkpoint:
        """Wait until it is written on all ranks, and commit it.

        Raises `TrainingError` on all ranks if that can't be done, `DiskFullError` for want of room: the copy
        is still there then, for `again`.
        """
        started = time.perf_counter()
        self._thread.join()
        return self._commit(started)

    def again(self) -> Checkpoint:
        """Write the same once more, and commit it; raises as `finish`."""
        started = time.perf_counter()
        assert self._saving is not None
        self._saving.write()
        return self._commit(started)

    def _commit(self, started: float) -> Checkpoint:
        assert self._saving is not None
        self._saving.require_written()
        saved = self._saving.commit()
        self._saving = None
        saved.waited = self._waited + time.perf_counter() - started
        return saved
