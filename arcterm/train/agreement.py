"""Requests from outside and by the clock, agreed by all ranks at a step boundary."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Literal

import torch
import torch.distributed as dist

from arcterm.processes import signals
from arcterm.runs import control
from arcterm.runs.control import Verb
from arcterm.runs.store import Run
from arcterm.train.pause import Pause
from arcterm.train.world import World

Asked = Verb | Literal["due", "room", "writing"]
_ASKED: tuple[Asked, ...] = ("stop", "checkpoint", "verify", "due", "room", "writing")
_LOOK_SECONDS = 0.1


class Agreement:
    """Rank 0 looks for requests; what it finds at one step, all ranks act on at the next.

    A signal that any rank has noted is a request to stop: a scheduler may send it to one, or to all. By rank
    0's clock a checkpoint is due `minutes` after the last, 0 never. Where a rank's disk is full, all `pause`.
    `writing` says whether this rank still writes a checkpoint in the background. The exchange runs beside the
    step, so that agreeing costs no waiting.
    """

    def __init__(
        self,
        run: Run,
        world: World,
        minutes: float = 0.0,
        signalled: Callable[[], bool] = signals.stop_asked,
        clock: Callable[[], float] = time.monotonic,
        pause: Pause | None = None,
        writing: Callable[[], bool] = lambda: False,
    ) -> None:
        self._run = run
        self._world = world
        self._seconds = minutes * 60
        self._signalled = signalled
        self._pause = pause
        self._writing = writing
        self._clock = clock
        self._saved = clock()
        self._fresh = False
        self._looked = -math.inf
        self._taken: list[str] = []
        self._flags = torch.zeros(len(_ASKED))
        self._exchange: dist.Work | None = None
        self.written = False
        """Whether no rank was writing in the background, when they last asked each other."""

    def asked(self, step: int = 0) -> set[Asked]:
        """Return the requests to act on at this `step`, the same on every rank; call it once a step."""
        if self._exchange is not None:
            self._exchange.wait()
        agreed = {asked for asked, flag in zip(_ASKED, self._flags.tolist(), strict=True) if flag}
        # before the last save nothing was being written, which says nothing of what is now
        self.written = "writing" not in agreed and not self._fresh
        if self._fresh:
            agreed.discard("due")  # it was, as the exchange began, and has been done since
            self._fresh = False
        for request_id in self._taken:
            control.take(self._run, request_id)
        self._taken, self._flags = self._look()
        if self._world.size > 1:
            self._exchange = dist.all_reduce(self._flags, op=dist.ReduceOp.MAX, async_op=True)
        if "room" in agreed and self._pause is not None:
            self._pause.wait(step, stopping="stop" in agreed)
        return agreed - {"room", "writing"}

    def saved(self) -> None:
        """Count the minutes to the next checkpoint from now on."""
        self._saved, self._fresh = self._clock(), True

    def _look(self) -> tuple[list[str], torch.Tensor]:
        flags = torch.zeros(len(_ASKED))
        if self._signalled():
            flags[_ASKED.index("stop")] = 1
        if self._pause is not None and self._pause.is_full():
            flags[_ASKED.index("room")] = 1
        if self._writing():
            flags[_ASKED.index("writing")] = 1
        now = self._clock()
        if self._world.first and self._seconds and now - self._saved >= self._seconds:
            flags[_ASKED.index("due")] = 1
        if not self._world.first or now - self._looked < _LOOK_SECONDS:
            return [], flags
        self._looked = now
        found = control.pending(self._run)
        for _, request in found:
            flags[_ASKED.index(request.verb)] = 1
        return [request_id for request_id, _ in found], flags
