"""A run's loss at a few places of its event files, for a chart one line high: a few small reads."""

from __future__ import annotations

import contextlib
import os
import re

from arcterm.errors import DataError
from arcterm.files import open_regular
from arcterm.runs.events import Step, decode
from arcterm.runs.store import Run

_FILE = re.compile(r"\d{4}-r00000(?:\.\d{6})?\.jsonl")
_STEP = b'\n{"k":"step",'
_BYTES = 4096


def sample_losses(run: Run, count: int) -> tuple[tuple[int, float], ...]:
    """Return (step, loss) at about `count` places evenly spread over rank 0's events, and at their end.

    They are fewer where other events lie there. Steps that a later attempt made again are left out.
    """
    found: list[tuple[int, float]] = []
    try:
        with os.scandir(run.events) as entries:
            files = sorted((e.name, e.stat().st_size) for e in entries if _FILE.fullmatch(e.name))
    except OSError:  # it is being removed, or damaged, which its row says
        return ()
    gap = max(1, sum(size for _, size in files) // max(1, count))
    at = 0  # of all files' bytes
    for name, size in files:
        with contextlib.suppress(OSError, DataError), open_regular(run.events / name) as file:
            steps = [_step_at(file.fileno(), offset) for offset in range(-at % gap, size, gap)]
            for step in (*steps, _step_at(file.fileno(), max(0, size - _BYTES), last=True)):
                if step is not None:
                    found = [each for each in found if each[0] < step[0]] if _again(found, step) else found
                    found.append(step)
        at += size
    return tuple(found)


def _again(found: list[tuple[int, float]], step: tuple[int, float]) -> bool:
    return bool(found) and found[-1][0] >= step[0]


def _step_at(fd: int, offset: int, last: bool = False) -> tuple[int, float] | None:
    """The first whole step after byte `offset`, if there is one near, or the `last` one of those near."""
    data = os.pread(fd, _BYTES, offset)
    data = data[: data.rfind(b"\n") + 1]
    begins = data.rfind(_STEP) if last else data.find(_STEP)
    ends = data.find(b"\n", begins + 1)
    event = decode(data[begins + 1 : ends]) if 0 <= begins < ends else None
    return (event.step, float(event.loss)) if isinstance(event, Step) else None
