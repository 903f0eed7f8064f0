"""Requests from outside, agreed by all ranks at a step boundary."""

from __future__ import annotations

import time

import torch
import torch.distributed as dist

from arcterm.runs import control
from arcterm.runs.control import Verb
from arcterm.runs.store import Run
from arcterm.train.world import World

_VERBS: tuple[Verb, ...] = ("stop", "checkpoint", "verify")
_LOOK_SECONDS = 0.1


class Agreement:
    """Rank 0 looks for requests; what it finds at one step, all ranks act on at the next.

    The exchange runs beside the step, so that agreeing costs no waiting.
    """

    def __init__(self, run: Run, world: World) -> None:
        self._run = run
        self._world = world
        self._looked = 0.0
        self._taken: list[str] = []
        self._flags = torch.zeros(len(_VERBS))
        self._exchange: dist.Work | None = None

    def verbs(self) -> set[Verb]:
        """Return the requests to act on at this step, the same on every rank; call it once a step."""
        if self._exchange is not None:
            self._exchange.wait()
        agreed = {verb for verb, flag in zip(_VERBS, self._flags.tolist(), strict=True) if flag}
        for request_id in self._taken:
            control.take(self._run, request_id)
        self._taken, self._flags = self._look()
        if self._world.size > 1:
            self._exchange = dist.all_reduce(self._flags, op=dist.ReduceOp.MAX, async_op=True)
        return agreed

    def _look(self) -> tuple[list[str], torch.Tensor]:
        flags = torch.zeros(len(_VERBS))
        now = time.monotonic()
        if not self._world.first or now - self._looked < _LOOK_SECONDS:
            return [], flags
        self._looked = now
        found = control.pending(self._run)
        for _, request in found:
            flags[_VERBS.index(request.verb)] = 1
        return [request_id for request_id, _ in found], flags
