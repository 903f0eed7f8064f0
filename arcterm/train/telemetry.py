"""Telemetry beside the training: GPUs once a host, CPU and memory of each rank."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from types import TracebackType

import psutil
import torch

from arcterm import gpus
from arcterm.runs.events import Gpu, Gpus, Rank
from arcterm.runs.journal import Sink
from arcterm.train.feed.pace import OwnTimes
from arcterm.train.world import World

INTERVAL_SECONDS = 1.0
_SYNC_EVERY = 5
_PATIENCE_SECONDS = 5.0


class Telemetry:
    """A thread that writes `Rank` events, on a host's first rank also `Gpus`, and syncs the journal."""

    def __init__(self, journal: Sink, world: World, own: OwnTimes | None = None) -> None:
        self._journal = journal
        self._world = world
        self._own = own or OwnTimes()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="telemetry", daemon=True)

    def __enter__(self) -> Telemetry:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._stopped.set()
        if kind is None:  # after an error nothing is waited for: a GPU that hangs may hold the thread up
            self._thread.join(_PATIENCE_SECONDS)

    def _watch(self) -> None:
        process = psutil.Process()
        process.cpu_percent()
        host = os.environ.get("ARCTERM_HOST") or socket.gethostname()
        watching = self._world.local_rank == 0
        ticks = 0
        while True:
            if watching:
                found, note = _own(self._world.device.type == "cuda")
                self._journal.write(Gpus(host=host, gpus=found, note=note))
                watching = bool(found)  # a host without GPUs says so once
            if self._stopped.wait(INTERVAL_SECONDS):
                return
            ticks += 1
            with contextlib.suppress(OSError):  # no descriptor is left, say: a second later there may be one
                cpu, memory = process.cpu_percent(), process.memory_info().rss
                peak = _gpu_peak(self._world.device)
                own = self._own.take()
                rank, among = self._world.rank, os.environ.get("ARCTERM_HOST", "")
                self._journal.write(
                    Rank(rank=rank, cpu=cpu, memory=memory, gpu_peak=peak, times=own, host=among)
                )
            if ticks % _SYNC_EVERY == 0:
                self._journal.sync()


def _gpu_peak(device: torch.device) -> int:
    """Return the most bytes of a GPU that PyTorch has held in this process; 0 for a CPU."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else 0


def _own(cuda: bool) -> tuple[list[Gpu], str]:
    """Read the GPUs that the ranks work on; also why there are none."""
    if cuda:
        devices, note = gpus.usable()
        return [device.gpu for device in devices], "" if devices else note
    found, note = gpus.read()
    count = f"{len(found)} GPU{'s are' if len(found) > 1 else ' is'} here"
    return [], f"{count}, and this run is on the CPU" if found else note
