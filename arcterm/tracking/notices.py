"""What of a run a person wants to hear at once, found in its events and its state."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from statistics import fmean

from arcterm_registry.contracts import Notice

from arcterm.runs import diagnosis
from arcterm.runs.events import AnyEvent, Checkpoint, End, Mined, Phase, Start, Step, Verify
from arcterm.runs.state import LIVE, State
from arcterm.runs.store import Run
from arcterm.runs.trackers import Tracking

SILENT_SECONDS, COMPILING_SECONDS = 300.0, 1800.0
"""Seconds without a step, or any other sign of progress, until a run that lives is stalled."""

_EARLY_SECONDS = 60.0  # a run may have failed by the time its trackers are up
_PROGRESS = (Start, Phase, Step, Mined, Verify, Checkpoint)


class Watcher:
    """Finds the notices of a run; those in `at.sent` were sent, and `at.best` is its best verification.

    Of what happened before its trackers were started there is no notice. What waits to be sent stays when
    events are read again from an earlier place, with the record `at` as it was there.
    """

    def __init__(self, run: Run, at: Tracking) -> None:
        self._run = run
        self.at = at
        self._best = at.best
        self._found: list[tuple[str, Notice]] = []
        self._verified: dict[str, Verify] = {}
        self._attempt = 0
        self._step = max(at.step, 0)
        self._progress = 0.0
        self._compiling = self._paused = False

    def see(self, attempt: int, event: AnyEvent) -> None:
        """Take in an event, in their order."""
        self._attempt = max(self._attempt, attempt)
        if isinstance(event, _PROGRESS):
            self._progress = max(self._progress, event.t)
            self._compiling = isinstance(event, Phase) and event.phase == "compiling"
        match event:
            case Verify():
                if any(other.step != event.step for other in self._verified.values()):
                    self._judge()
                self._verified[event.set] = event
            case Step():
                self._judge()
                self._step = event.step
                finite = math.isfinite(float(event.loss)) or event.overflow  # of float16: no finding
                if event.skipped or not finite:
                    self._add(f"nan@{self._attempt}", "nan", _not_finite(event), event.step, event.t)
            case Checkpoint() | End() | Start():
                self._judge()

    def notices(self, state: State, *, caught_up: bool) -> Iterator[Notice]:
        """Yield what is new, each once; what the `state` says only when all events were seen.

        A notice counts as sent when the next one is asked for.
        """
        if caught_up:
            if state.state not in LIVE:
                self._judge()
            self._look_at(state)
        while self._found:
            key, notice = self._found[0]
            if key not in self.at.sent and notice.t >= self.at.since - _EARLY_SECONDS:
                yield notice
                self.at.sent.append(key)
            del self._found[0]
        self.at.best = self._best

    def _look_at(self, state: State) -> None:
        """Find what the state, the ends of attempts and the silence since the last progress say."""
        step, failure = max(state.step, self._step), state.failure
        match state.state:
            case "done" | "stopped":
                words = state.reason or ("all steps are made" if state.state == "done" else "on request")
                self._add(f"{state.state}@{state.attempt}", state.state, words, step, state.t)
            case "failed":
                words = failure.cause if failure else state.reason
                hint = f"; {failure.hint}" if failure and failure.hint else ""
                self._add(f"failed@{state.attempt}", "failed", words + hint, step, state.t)
            case "paused" if not self._paused:  # its reason is written again and again
                self._add(f"paused@{state.t:.0f}", "paused", state.reason, step, state.t)
            case "lost" | "damaged":
                self._add(f"{state.state}@{state.attempt}", "stalled", state.reason, step, time.time())
            case "running" | "stopping" if self._progress:
                silent = time.time() - self._progress
                if silent > (COMPILING_SECONDS if self._compiling else SILENT_SECONDS):
                    words = f"no progress for {silent / 60:.0f} minutes"
                    self._add(f"silent@{self._progress:.0f}", "stalled", words, step, time.time())
        self._paused = state.state == "paused"
        if state.state in LIVE:
            for ended in diagnosis.read_ends(self._run):
                over = ended.attempt < max(state.attempt, self._attempt)
                if over and ended.state == "failed" and not self._is_known(f"failed@{ended.attempt}"):
                    words = f"attempt {ended.attempt} failed, it is launched again: {ended.reason}"
                    self._add(f"relaunched@{ended.attempt}", "stalled", words, ended.step, ended.t)

    def _judge(self) -> None:
        """A verification is over: compare its mean accuracy over the sets with the best so far."""
        results, self._verified = list(self._verified.values()), {}
        scores = [(v.set, v.accuracy) for v in results if v.accuracy is not None and not v.collapse]
        if not scores:
            return
        mean = fmean(accuracy for _, accuracy in scores)
        step, t = results[-1].step, results[-1].t
        if (self._best is not None and mean <= self._best) or self._is_known(f"best@{step}"):
            return
        before = "" if self._best is None else f", after {self._best:.4f}"
        self._best = mean
        named = ", ".join(f"{name} {accuracy:.4f}" for name, accuracy in scores)
        self._add(f"best@{step}", "best", f"the best so far at step {step:,}: {named}{before}", step, t)

    def _add(self, key: str, kind: str, text: str, step: int, t: float) -> None:
        """Note what is found, unless it was sent or waits to be."""
        if not self._is_known(key):
            self._found.append((key, Notice(kind=kind, text=text, step=step, t=t)))

    def _is_known(self, key: str) -> bool:
        return key in self.at.sent or any(key == other for other, _ in self._found)


def _not_finite(step: Step) -> str:
    """What was no number in a step, and that it updated nothing."""
    finite = math.isfinite(float(step.loss))
    what = "a gradient is no number" if finite else f"the loss is {step.loss}"
    return f"{what} at step {step.step:,}{'; nothing was updated' if step.skipped else ''}"
