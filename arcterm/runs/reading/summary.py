"""Summary of a run's events: the latest of everything, and the series that charts are drawn from."""

from __future__ import annotations

import bisect
import itertools
import math
import statistics
from array import array
from collections import deque
from collections.abc import Iterable
from typing import Any

from arcterm.config import Config
from arcterm.runs.events import (
    METRICS,
    AnyEvent,
    Checkpoint,
    End,
    Gpu,
    Gpus,
    Message,
    Mined,
    Phase,
    Rank,
    Skipped,
    Start,
    Step,
    Verify,
)
from arcterm.runs.reading.batches import StepBatch
from arcterm.runs.reading.columns import GrowingColumn
from arcterm.runs.reading.essentials import PACE_STEPS, sampled_zeros

_GPU_HISTORY = 600  # one a second
_MESSAGES = 200


class Summary:
    """State of a run after the events given to `feed`, in the order in which `Follower` gives them.

    `steps` and each of `series` are parallel columns (int64 steps; float64 values, if `compact` float32), NaN
    included, also where nothing was recorded; `epochs` are pairs (first step, number of the epoch). When a
    new attempt goes on from step s, what earlier attempts did after s is forgotten: the curve continues from
    the checkpoint. `messages` of earlier attempts go as soon as the newest has made a step. `gpu_history` has
    (time, utilisation or NaN) for ten minutes by (host, index).
    """

    def __init__(self, compact: bool = False) -> None:
        self.steps = GrowingColumn[int]("q")
        self.times = GrowingColumn[float]("d")
        self.series = {name: GrowingColumn[float]("f" if compact else "d") for name in METRICS}
        self.epochs: list[tuple[int, int]] = []
        self.last_step: Step | None = None
        self.mined: list[Mined] = []
        self.total_steps = 0
        self.attempt = 0
        self.starts: dict[int, Start] = {}
        self.phase: Phase | None = None
        self.skipped: dict[int, Skipped] = {}
        self.verification: dict[str, list[Verify]] = {}
        self.checkpoints: list[Checkpoint] = []
        self.gpus: dict[str, Gpus] = {}
        self.gpu_history: dict[tuple[str, int], deque[tuple[float, float]]] = {}
        self.ranks: dict[int, Rank] = {}
        self.messages: deque[Message] = deque(maxlen=_MESSAGES)
        self._said_in: deque[int] = deque(maxlen=_MESSAGES)  # the attempt of each message
        self.end: End | None = None
        self._phase_began: Phase | None = None
        self.last_event_time = 0.0

    def feed(self, events: Iterable[tuple[int, AnyEvent | StepBatch]]) -> None:  # noqa: PLR0912  one a kind
        """Take in events as (attempt, event)."""
        for attempt, event in events:
            if attempt > self.attempt:
                self._begin(attempt)
            self.last_event_time = max(self.last_event_time, event.t)
            match event:
                case Step():
                    self._step(event)
                case StepBatch():
                    self._steps(event)
                case Mined():
                    self.mined.append(event)
                case Start():
                    self._start(event)
                case Phase():
                    self._phase(event)
                case Skipped():
                    self.skipped[event.index] = event
                case Verify():
                    self._verify(event)
                case Checkpoint():
                    self.checkpoints.append(event)
                case Gpus():
                    self._gpus(event)
                case Rank():
                    self.ranks[event.rank] = event
                case Message():
                    self.messages.append(event)
                    self._said_in.append(attempt)
                case End():
                    self.end = event

    @property
    def step(self) -> int:
        """The last step made, 0 before the first."""
        return (
            self.last_step.step if self.last_step else min((s.step for s in self.starts.values()), default=0)
        )

    def seconds_per_step(self) -> float | None:
        """Median time between recent steps, wall clock; None before the third step."""
        recent = self.times[-PACE_STEPS:]
        gaps = [later - sooner for sooner, later in itertools.pairwise(recent)]
        return max(0.0, statistics.median(gaps)) if len(gaps) >= 2 else None  # a clock may be set back

    def eta(self) -> float | None:
        """Seconds to the last step at the recent pace; None if it is unknown yet."""
        pace = self.seconds_per_step()
        return None if pace is None else max(0, self.total_steps - self.step) * pace

    def phase_eta(self) -> float | None:
        """Seconds to the end of the phase at its pace so far; None if it is unknown."""
        now, began = self.phase, self._phase_began
        if now is None or began is None or now.done <= began.done or now.t <= began.t:
            return None
        return max(0, now.total - now.done) * (now.t - began.t) / (now.done - began.done)

    def best(self, name: str) -> Verify | None:
        """The best result of a verification set, the earliest of equals.

        None if all were withheld, or of a network that had collapsed.
        """
        results = self.verification.get(name, [])
        scored = [(v.accuracy, -v.step, v) for v in results if v.accuracy is not None and not v.collapse]
        return max(scored, key=lambda pair: pair[:2])[2] if scored else None

    def sampled(self, name: str) -> list[float]:
        """Return a metric at evenly spaced steps, 9,999 at most, for a chart one line high."""
        every = 10 ** sampled_zeros(self.steps[-1] if self.steps else 0)
        return [v for step, v in zip(self.steps, self.series[name], strict=True) if step % every == 0]

    def _begin(self, attempt: int) -> None:
        self.attempt = attempt
        self.starts.clear()
        self.ranks.clear()
        self.gpus.clear()
        self.end = None
        self.phase = self._phase_began = None

    def _phase(self, event: Phase) -> None:
        before = self.phase
        if before is None or before.phase != event.phase or event.done < before.done:
            self._phase_began = event
        self.phase = event

    def _start(self, event: Start) -> None:
        if not self.starts:
            self._forget_after(event.step)
        self.starts[event.rank] = event
        self.total_steps = event.steps

    def _forget_after(self, step: int) -> None:
        self._cut(step)
        self.mined = [m for m in self.mined if m.step < step]  # one at this step is made again

    def _cut(self, step: int) -> None:
        keep = bisect.bisect_right(self.steps, step)
        columns: list[GrowingColumn[Any]] = [self.steps, self.times, *self.series.values()]
        for column in columns:
            column.cut(keep)
        self.epochs = [(first, number) for first, number in self.epochs if first <= step]
        if self.last_step and self.last_step.step > step:
            self.last_step = None
        kept = {k: [v for v in vs if v.step <= step] for k, vs in self.verification.items()}
        self.verification = {k: vs for k, vs in kept.items() if vs}
        self.checkpoints = [c for c in self.checkpoints if c.step <= step]
        self.mined = [m for m in self.mined if m.step <= step]

    def _verify(self, event: Verify) -> None:
        """A step that was verified again, as after an interruption, counts once."""
        results = self.verification.setdefault(event.set, [])
        if results and results[-1].step >= event.step:
            results[:] = [v for v in results if v.step != event.step]
        results.append(event)

    def _step(self, event: Step) -> None:
        if self.steps and event.step <= self.steps[-1]:  # made or read again: the curve has each step once
            self._cut(event.step - 1)
        self.last_step = event
        if not self.epochs or event.epoch != self.epochs[-1][1]:
            self.epochs.append((event.step, event.epoch))
        self.steps.append(event.step)
        self.times.append(event.t)
        for name, column in self.series.items():
            value = getattr(event, name)
            column.append(math.nan if value is None else float(value))
        self._drop_messages()

    def _steps(self, batch: StepBatch) -> None:
        if self.steps and batch.steps[0] <= self.steps[-1]:
            self._cut(batch.steps[0] - 1)
        self.last_step = batch.last
        for at in _changes(batch.epochs, self.epochs[-1][1] if self.epochs else -1):
            self.epochs.append((batch.steps[at], batch.epochs[at]))
        self.steps.extend(batch.steps)
        self.times.extend(batch.times)
        for name, column in self.series.items():
            values = batch.series[name]
            column.extend(values if column.code == values.typecode else array(column.code, values))
        self._drop_messages()

    def _drop_messages(self) -> None:
        """Forget those of earlier attempts."""
        while self._said_in and self._said_in[0] < self.attempt:
            self._said_in.popleft()
            self.messages.popleft()

    def _gpus(self, event: Gpus) -> None:
        self.gpus[event.host] = event
        for gpu in event.gpus:
            history = self.gpu_history.setdefault((event.host, gpu.index), deque(maxlen=_GPU_HISTORY))
            history.append((event.t, math.nan if gpu.utilisation is None else gpu.utilisation))


def _changes(epochs: array[int], before: int) -> list[int]:
    """Places where the epoch is another one than at the place before."""
    if epochs[0] == epochs[-1] == before:
        return []
    return [at for at, number in enumerate(epochs) if number != (epochs[at - 1] if at else before)]


def best_result(summary: Summary) -> tuple[str, float, int] | None:
    """(set, accuracy, step) of the best verification; of several sets their mean at one step, ``mean``.

    The sets are those that had an accuracy when there last was one.
    """
    scores = {
        name: {v.step: v.accuracy for v in results if v.accuracy is not None and not v.collapse}
        for name, results in summary.verification.items()
    }
    newest = max((step for results in scores.values() for step in results), default=None)
    sets = {name: results for name, results in scores.items() if newest in results}
    if not sets:
        return None
    common = set.intersection(*(set(results) for results in sets.values()))
    means = {step: statistics.fmean(results[step] for results in sets.values()) for step in common}
    step = max(means, key=lambda s: (means[s], -s))
    return (next(iter(sets)) if len(sets) == 1 else "mean"), means[step], step


def own_gpus(config: Config | None, summary: Summary) -> list[tuple[str, Gpu]]:
    """(host, GPU) of the GPUs that a run works on: none on the CPU.

    An older arcterm reported all GPUs of a host; of those they are the ones in the config.
    """
    if config is not None and config.device == "cpu":
        return []
    found = [(host, gpu) for host, event in sorted(summary.gpus.items()) for gpu in event.gpus]
    if config is None or len(found) <= config.nproc:
        return found
    return [(host, gpu) for host, gpu in found if gpu.index in config.gpus] or found
