"""A rank's pulse: one small file that it overwrites whenever it gets on, and its supervisor reads.

It is written without allocating a block, so that a full disk does not look like a hang.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

PHASES = ("loading", "compile", "training", "checkpoint", "verify", "mining", "paused")
"""What a rank may be at. A hang is known by steps that do not come; other phases take their time."""

_LAYOUT = struct.Struct("<qqqd")  # pid, phase, step, seconds of the machine's monotonic clock
_FILE = "pulse"


class Beat(NamedTuple):
    """Process `pid` was at `phase`, after `step` steps, at second `at` of this machine's monotonic clock."""

    pid: int
    phase: str
    at: float
    step: int


class Pulse:
    """Written by a rank in `folder`, its directory of an attempt."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(folder / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._phase, self._step = "loading", 0
        self.beat()

    def beat(self, phase: str = "", step: int | None = None) -> None:
        """Show that the rank gets on; `phase` and `step` stay what they were where they are not given."""
        self._phase = phase or self._phase
        self._step = self._step if step is None else step
        code = PHASES.index(self._phase)
        os.pwrite(self._fd, _LAYOUT.pack(os.getpid(), code, self._step, time.monotonic()), 0)


class NullPulse:
    """Beats for no supervisor."""

    def beat(self, phase: str = "", step: int | None = None) -> None:
        """Show nothing."""


def read(folder: Path) -> Beat | None:
    """The last beat of the rank whose directory is `folder`; None before its first."""
    try:
        pid, code, step, at = _LAYOUT.unpack((folder / _FILE).read_bytes())
    except (OSError, struct.error):
        return None
    return Beat(pid, PHASES[code], at, step) if 0 <= code < len(PHASES) else None


def read_all(attempt: Path) -> Mapping[int, Beat]:
    """The last beat of every rank of an attempt's directory that has beaten."""
    found = {}
    for folder in sorted(attempt.glob("rank-*")):
        if (beat := read(folder)) is not None:
            found[int(folder.name.removeprefix("rank-"))] = beat
    return found
