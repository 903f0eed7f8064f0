"""Whether the ranks of a training hang, and which of them the others wait for."""

from __future__ import annotations

import re
import statistics
from collections import deque
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from arcterm.runs.pulse import Beat

LOOK_SECONDS = 1.0
"""How often the beats are looked at."""

_PACE_STEPS = 50
_PACES = 20
_FIRST_STEP = 5
_OTHER_SECONDS = 30 * 60.0
_FRAME = re.compile(r'File "([^"]*)", line (\d+) in (\S+)')
_WAITING = re.compile(
    r"torch/distributed/|/arcterm/train/(world|agreement)\.py|/arcterm/verify/ranks\.py|/head/collectives\.py"
)
_OWN = re.compile(r"/(threading|queue|selectors|subprocess)\.py$|/concurrent/futures/|^<frozen ")
_BACKWARD = "_engine_run_backward"
_GONE = "is gone"
_HELD = {"": _GONE, "Z": _GONE, "X": _GONE, "T": "is stopped (SIGSTOP)", "t": "is held by a debugger"}
"""The letters of /proc for processes that do nothing, and what that means."""


class Watch:
    """Finds from their beats that ranks hang: no step for `least` seconds, or 20 times the median step.

    Before the first step of an attempt, which may compile kernels and fill caches, it is 5 times `least`. In
    phases without steps it is half an hour, but for ``paused``, which lasts as long as it takes. A rank that
    is stopped by a signal does nothing in any phase: `least` seconds of that are enough.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._beats: Mapping[int, Beat] = {}
        self._paces: deque[float] = deque(maxlen=_PACE_STEPS)
        self._looked = 0.0
        self._silent = self._stopped = 0.0

    def look(self, beats: Mapping[int, Beat], now: float, stopped: bool = False) -> float | None:
        """Return for how many seconds no rank got on, if that is too long; `now` is monotonic seconds.

        `stopped`: the process of a rank is, by a signal. Time in which this was not called does not count:
        its process was stopped, and perhaps the ranks too.
        """
        passed = min(now - self._looked, 2 * LOOK_SECONDS) if self._looked else 0.0
        self._looked = now
        self._stopped = self._stopped + passed if stopped else 0.0
        if beats == self._beats:
            self._silent += passed
        else:
            self._note_pace(beats)
            self._beats, self._silent = dict(beats), 0.0
        if self._stopped > self._least:
            return self._stopped
        return self._silent if self._silent > self.limit else None

    @property
    def limit(self) -> float:
        """Seconds of silence that are too many for what the ranks are at."""
        phases = {beat.phase for beat in self._beats.values()}
        if "paused" in phases:
            return float("inf")
        if "training" not in phases:
            return _OTHER_SECONDS
        if not self._paces:
            return _FIRST_STEP * self._least
        return max(self._least, _PACES * statistics.median(self._paces))

    def _note_pace(self, beats: Mapping[int, Beat]) -> None:
        """Note the seconds per step between the last look and this one, by the lowest rank."""
        rank = min(beats, default=-1)
        before, now = self._beats.get(rank), beats.get(rank)
        if before and now and before.phase == "training" and now.step > before.step:
            self._paces.append((now.at - before.at) / (now.step - before.step))


class Examined(NamedTuple):
    """A rank as it was found in a hang.

    `state` is the letter of /proc, empty where the process is gone; `channel` is where in the kernel it
    waits, `stack` its Python stack, innermost frame first, empty if it did not answer. `host` is the name of
    its host where the run has several.
    """

    rank: int
    pid: int
    phase: str
    step: int
    state: str = ""
    channel: str = ""
    stack: str = ""
    host: str = ""

    @property
    def _frame(self) -> re.Match[str] | None:
        """The innermost frame that is not in Python's own waiting."""
        frames = list(_FRAME.finditer(self.stack))
        return next((frame for frame in frames if not _OWN.search(frame[1])), frames[0] if frames else None)

    @property
    def waits(self) -> bool:
        """Whether it waits for other ranks, in a collective."""
        frame = self._frame
        return frame is not None and bool(_WAITING.search(frame[1]) or frame[3] == _BACKWARD)

    @property
    def words(self) -> str:
        """What is wrong with it."""
        where = f" on {self.host}" if self.host else ""
        who = f"rank {self.rank}{where} (process {self.pid})"
        frame = self._frame
        if self.state in _HELD:
            return f"{who} {_HELD[self.state]}"
        if self.state == "D":
            return f"{who} waits for the kernel in {self.channel or 'an unknown place'} (state D)"
        if self.waits:
            return f"all ranks wait for each other; {who} is the furthest behind"
        if frame is None:
            return f"{who} does not answer (state {self.state}, in {self.channel or 'no wait channel'})"
        return f"{who} hangs in {Path(frame[1]).name}, line {frame[2]}, {frame[3]}"

    @property
    def evidence(self) -> str:
        """What is known of it, in lines."""
        return f"state {self.state or 'gone'}, wait channel {self.channel or '-'}\n{self.stack}".strip()


def find_silent(found: Collection[Examined]) -> Examined:
    """Return the rank that the others wait for.

    One that is gone or stopped, then one that the kernel holds, then one that does not answer, then one
    that is in no collective; of several the one with the fewest steps.
    """
    held = {"": 0, "Z": 0, "X": 0, "T": 0, "t": 0, "D": 1}
    return min(found, key=lambda f: (held.get(f.state, 2 if not f.stack else 3), f.waits, f.step, f.rank))
