"""A run's events, given to one tracker in order, each value once, whatever happens to either."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import islice

import msgspec
from arcterm_registry import Tracker, get
from arcterm_registry.contracts import RunTracker, TrackedRun

from arcterm.commandline import Value
from arcterm.config import TrainConfig
from arcterm.runs import trackers
from arcterm.runs.events import AnyEvent, Start
from arcterm.runs.reading.follow import Follower
from arcterm.runs.state import LIVE, State, read_state
from arcterm.runs.store import Run
from arcterm.runs.trackers import Tracking
from arcterm.tracking.guarded import PATIENCE_SECONDS, Guard, TrackerError
from arcterm.tracking.notices import Watcher
from arcterm.tracking.points import values_of

BATCH = 500
"""Events between two flushes, at most."""
LOOK_SECONDS = 1.0
_PAUSES = (5.0, 10.0, 20.0, 40.0, 80.0)
"""Seconds before each new try of a tracker that raised; any flush begins them again."""
_LOST_SECONDS = 600.0
"""For so long a run whose supervisor is gone or stopped may still go on."""


class Feeder:
    """Feeds the tracker `name` from a run's events until the run has ended.

    The record of how far it is is written after each flush. A tracker that raised is made anew from there; it
    is given again what it had not flushed, which one that can rewind has forgotten by then.
    """

    def __init__(
        self,
        run: Run,
        name: str,
        *,
        patience: float = PATIENCE_SECONDS,
        pause: Callable[[float], None] = time.sleep,
        hung: Callable[[int], object] = os._exit,
    ) -> None:
        self._run = run
        self._name = name
        self._pause = pause
        self._guard = Guard(self._end_hung, patience)
        self._exit = hung
        self.at = trackers.read(run, name)
        self.at.since = self.at.since or time.time()
        self._watcher = Watcher(run, self.at)
        self._tracker: RunTracker | None = None
        self._lost_since = 0.0

    def feed(self) -> bool:
        """Feed until the run has ended; False if the tracker can't be fed, which its record explains."""
        failures = 0
        while True:
            kept = self.at.position
            try:
                self._go_on()
                return True
            except TrackerError as error:
                failures = 1 if self.at.position != kept else failures + 1
                gives_up = failures > len(_PAUSES)
                self._drop(str(error), "failed" if gives_up else "failing")
                if gives_up:
                    return False
                self._pause(_PAUSES[failures - 1])

    def _go_on(self) -> None:
        """Feed from the recorded position to the run's end; raises `TrackerError`."""
        self._follower = Follower(self._run)
        self._follower.seek(self.at.position)
        self._watcher.at = self.at
        while True:
            state = read_state(self._run)  # first, so that the events up to it are all read after it
            if self._run.removed:
                self._close(state)
                return
            with self._guard.watching():
                taken = self._take_batch(state)
            if taken < BATCH:
                if self._is_over(state):
                    self._close(state)
                    return
                self._pause(LOOK_SECONDS)

    def _take_batch(self, state: State) -> int:
        """Give the tracker the next events and notices, flush it and record that; returns how many events."""
        before = (self.at.values, len(self.at.sent))
        batch = list(islice(self._follower.events(), BATCH))
        for attempt, event in batch:
            self._take(event)
            self._watcher.see(attempt, event)
        for notice in self._watcher.notices(state, caught_up=len(batch) < BATCH):
            with self._guard.calling("notify"):
                self._open().notify(notice)
        if (self.at.values, len(self.at.sent)) != before and self._tracker is not None:
            with self._guard.calling("flush"):
                self._tracker.flush()
        if batch or len(self.at.sent) != before[1]:
            self.at.position = self._follower.position()
            self.at.state = "running"
            trackers.write(self._run, self.at)
        return len(batch)

    def _take(self, event: AnyEvent) -> None:
        """Give the tracker what is new in an event."""
        if isinstance(event, Start):
            if event.rank == 0:
                self._begin(event.step)
            return
        step = getattr(event, "step", max(self.at.step, 0))
        found = values_of(event)
        values = {name: value for name, value in found.items() if step > self.at.last.get(name, -1)}
        if not values:
            return
        tracker = self._open()
        with self._guard.calling("log"):
            tracker.log(step, event.t, values)
        self.at.last |= dict.fromkeys(values, step)
        self.at.values += len(values)
        self.at.step = max(self.at.step, step)

    def _begin(self, step: int) -> None:
        """An attempt goes on from `step`: what earlier ones said of later steps no longer counts."""
        tracker = self._open()
        if step >= self.at.step or not tracker.rewinds:
            return
        with self._guard.calling("rewind"):
            tracker.rewind(step)
        self.at.last = {name: min(last, step) for name, last in self.at.last.items()}
        self.at.step = step

    def _open(self) -> RunTracker:
        """The tracker, made if it is not there yet: a run that waits in a queue needs none."""
        if self._tracker is None:
            with self._guard.calling("start"):
                self._tracker = self._make()
        return self._tracker

    def _make(self) -> RunTracker:
        declared, record = get("tracker", self._name), self._run.record
        config = record.config
        if not isinstance(config, TrainConfig):
            raise TypeError(f"{self._run.name} is a job, which has nothing to track")
        work = trackers.folder(self._run, self._name)
        seen = TrackedRun(
            id=self._run.id,
            name=record.name,
            command=config.command,
            config=msgspec.to_builtins(config),
            folder=self._run.path.resolve(),
            work=work.resolve(),
            step=self.at.step,
        )
        made: RunTracker = declared.make(seen, **own_options(declared, config.track_options))
        return made

    def _is_over(self, state: State) -> bool:
        """Whether nothing more is to come of the run."""
        if state.state in LIVE:
            self._lost_since = 0.0
            return self._name not in trackers.names(self._run.config.track)
        if state.state not in ("lost", "damaged"):
            return True
        self._lost_since = self._lost_since or time.monotonic()
        return time.monotonic() - self._lost_since > _LOST_SECONDS

    def _close(self, state: State) -> None:
        with self._guard.watching():
            if self.at.state == "failing":
                self._open()  # what failed may have been its end
            tracker, self._tracker = self._tracker, None
            if tracker is not None:
                with self._guard.calling("close"):
                    tracker.close(state.state)
        if not self._run.removed:
            self.at.state, self.at.error = "done", ""
            trackers.write(self._run, self.at)

    def _drop(self, error: str, word: trackers.TrackerState) -> None:
        """Let go of a tracker that raised, and record why, at what was last flushed."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            try:
                with self._guard.watching(), self._guard.calling("close"):
                    tracker.close("running")
            except TrackerError as another:
                error = f"{error}; {another}"
        self._record(error, word)

    def _record(self, error: str, word: trackers.TrackerState) -> Tracking:
        kept = trackers.read(self._run, self._name)
        kept.since = kept.since or self.at.since
        kept.state, kept.error = word, error
        trackers.write(self._run, kept)
        self.at = kept
        return kept

    def _end_hung(self, error: str) -> None:
        """Record that the tracker hangs, and end this process from the guard's thread."""
        self._record(error, "failed")
        self._exit(1)


def own_options(declared: Tracker, given: dict[str, Value]) -> dict[str, Value]:
    """Those of the options that trackers share which this one has."""
    return {name: value for name, value in given.items() if declared.option(name) is not None}
