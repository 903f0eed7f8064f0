"""Times and numbers of a step, read without making the GPU wait."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

_WINDOW = 20


class _Mark(Protocol):
    def elapsed_time(self, end: _Mark) -> float:
        """Measure the milliseconds from this mark to `end`."""


@dataclass(frozen=True)
class _Moment:
    """A mark on a CPU."""

    t: float

    def elapsed_time(self, end: _Moment) -> float:
        return (end.t - self.t) * 1e3


@dataclass
class StepTimes:
    """The marks of one step in order, and its numbers, which may still be on their way from the device."""

    numbers: Tensor
    wait_ms: float
    marks: list[tuple[str, object]] = field(default_factory=list)

    def milliseconds(self) -> dict[str, float]:
        """Milliseconds of each phase, those of its several parts added up."""
        spent = {"data": self.wait_ms}
        for (_, start), (name, end) in zip(self.marks, self.marks[1:], strict=False):
            passed = start.elapsed_time(end)  # type: ignore[attr-defined]
            spent[name] = spent.get(name, 0.0) + passed
        return spent


class OwnTimes:
    """Milliseconds of steps that a rank took by itself: added by one thread, taken by another."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str, float] = {}
        self._steps = 0

    def add(self, **milliseconds: float) -> None:
        """Add those of one step, by phase."""
        with self._lock:
            self._steps += 1
            for phase, spent in milliseconds.items():
                self._sums[phase] = self._sums.get(phase, 0.0) + spent

    def take(self) -> dict[str, float]:
        """Return the means by phase over the steps since the last call; empty if there was none."""
        with self._lock:
            sums, steps = self._sums, self._steps
            self._sums, self._steps = {}, 0
        return {phase: round(spent / steps, 2) for phase, spent in sums.items()}


class Pace:
    """Marks phases and measures the images per second of the last steps."""

    def __init__(self, device: torch.device, global_batch: int) -> None:
        self._cuda = device.type == "cuda"
        self._global_batch = global_batch
        self._ends: deque[float] = deque(maxlen=_WINDOW + 1)
        self._marks: list[tuple[str, object]] = []

    def mark(self, phase: str) -> None:
        """Mark the end of `phase`; the first mark of a step is its beginning."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._marks.append((phase, event))
        else:
            self._marks.append((phase, _Moment(time.perf_counter())))

    def finish(self, numbers: Tensor, wait_seconds: float) -> StepTimes:
        """Close a step and start copying its `numbers` to the host, beside the next step's work."""
        if self._cuda:
            copied = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            numbers = copied.copy_(numbers, non_blocking=True)
            self.mark("")
        self._ends.append(time.perf_counter())
        marks, self._marks = self._marks, []
        return StepTimes(numbers, wait_seconds * 1e3, marks)

    def settle(self, times: StepTimes) -> list[float]:
        """Return the numbers of a finished step; on a GPU call it a step later, when they have arrived."""
        if self._cuda:
            times.marks.pop()[1].synchronize()  # type: ignore[attr-defined]
        return [float(number) for number in times.numbers.tolist()]

    def pause(self) -> None:
        """Start measuring anew: what comes now is no step."""
        self._ends.clear()
        self._ends.append(time.perf_counter())

    def images_per_second(self) -> float:
        """Mean over the last steps; 0.0 before the first."""
        if len(self._ends) < 2:
            return 0.0
        return self._global_batch * (len(self._ends) - 1) / (self._ends[-1] - self._ends[0])

    def seconds_per_step(self) -> float:
        """Mean over the last steps; 0.0 before the first."""
        speed = self.images_per_second()
        return self._global_batch / speed if speed else 0.0
