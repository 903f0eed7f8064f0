"""Waiting for room: while the disk of a run is full, all its ranks wait together and then go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from arcterm.config import TrainConfig
from arcterm.errors import DiskFullError, StopAskedError
from arcterm.processes import signals
from arcterm.runs import advice, checkpoints, control, space, state
from arcterm.runs.events import Message
from arcterm.runs.journal import Sink
from arcterm.runs.state import StateName
from arcterm.runs.store import Run
from arcterm.train.world import World

T = TypeVar("T")

_LOOK_SECONDS = 1.0
_LONGEST_SECONDS = 60.0


class Pause:
    """The waiting of one rank; every rank calls it at the same points.

    `journal` is this rank's own. `beat` shows the supervisor that the rank waits and does not hang.
    """

    def __init__(
        self,
        run: Run,
        attempt: int,
        config: TrainConfig,
        world: World,
        journal: Sink,
        beat: Callable[[str], None] = lambda _phase: None,
    ) -> None:
        self._run = run
        self._attempt = attempt
        self._config = config
        self._world = world
        self._journal = journal
        self._beat = beat

    def is_full(self) -> bool:
        """Whether this rank's events find no room."""
        return not self._journal.flush()

    def until_written(
        self, step: int, own_bytes: int, work: Callable[[], T], stopping: bool = False, refused: str = ""
    ) -> T:
        """Return what `work` returns, after waiting until its files fit on the disk.

        `own_bytes` are what this rank is going to write. `work` raises `DiskFullError` on every rank or on
        none; `refused` is its message where it did before. Raises `StopAskedError` where a stop is asked for
        while it waits, or was before (`stopping`).
        """
        again = _LOOK_SECONDS if refused else 0.0
        while True:
            self.wait(step, own_bytes, refused, again, stopping)
            try:
                return work()
            except DiskFullError as error:
                # a quota does not show in the bytes that are free: it is tried again less and less often
                refused, again = error.message, min(_LONGEST_SECONDS, max(_LOOK_SECONDS, 2 * again))

    def wait(
        self, step: int, own_bytes: int = 0, refused: str = "", least: float = 0.0, stopping: bool = False
    ) -> None:
        """Return on all ranks at once when there is room, after `least` seconds if a write was `refused`."""
        whole = int(self._world.sum(torch.tensor([own_bytes], dtype=torch.float64)).item())
        began, pruned, paused = time.monotonic(), False, False
        while True:
            late = time.monotonic() - began < least
            room = space.to_write(self._run, whole)
            short = late or not room.suffices or self.is_full()
            # decided together: one rank alone would meet the others in another collective
            flags = torch.tensor([float(short), float(paused and (stopping or self._stop_asked()))])
            short, stop = map(bool, self._world.max(flags).tolist())
            if not short:
                break
            if not pruned:
                pruned = self._prune(saving=whole > 0)
                continue
            if not paused:
                paused = self._begin(step, room, refused)
                continue
            if stop:
                why, next_step = self._words(room, refused), advice.resuming(self._run)
                raise StopAskedError(f"stopped without another checkpoint: {why}; {next_step}")
            self._beat("paused")
            time.sleep(_LOOK_SECONDS)
        if paused and self._world.first:
            space.keep_reserve(self._run)
            self._show("running", step)
            self._journal.write(Message(level="info", text="there is room on the disk again: it goes on"))

    def _prune(self, saving: bool) -> bool:
        """Delete what the next save would delete: the one that is about to be written is the newest."""
        if not self._world.first:
            return True
        keep, gone = self._config.keep_last - saving, []
        with _whatever_is_full():  # some file systems need room to delete
            gone = checkpoints.retain(self._run, keep, self._config.keep_best)
        if gone:
            text = f"the disk is nearly full: {', '.join(gone)} was removed before the next is written"
            self._journal.write(Message(level="warning", text=text))
        return True

    def _show(self, name: StateName, step: int, reason: str = "") -> None:
        with _whatever_is_full():  # the reserve is used up: readers see that the ranks still beat
            state.write_state(self._run, name, attempt=self._attempt, step=step, reason=reason)

    def _begin(self, step: int, room: space.DiskRoom, refused: str) -> bool:
        """Say that the run is paused, and why."""
        self._beat("paused")
        if self._world.first:
            reason = self._words(room, refused)
            self._show("paused", step, reason)
            self._journal.write(Message(level="warning", text=f"paused at step {step}: {reason}"))
        return True

    def _words(self, room: space.DiskRoom, refused: str) -> str:
        return f"{room} ({refused})" if refused and room.suffices else str(room)

    def _stop_asked(self) -> bool:
        """Whether this process was asked to stop, or the run was; such a request is taken."""
        if not self._world.first:
            return signals.stop_asked()
        stops = [request_id for request_id, request in control.pending(self._run) if request.verb == "stop"]
        for request_id in stops:
            control.take(self._run, request_id)
        return bool(stops) or signals.stop_asked()


@contextmanager
def _whatever_is_full() -> Iterator[None]:
    """Pass over an error of a full disk, and no other."""
    try:
        yield
    except OSError as error:
        if not space.is_full(error):
            raise
