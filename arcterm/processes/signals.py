"""A signal to stop, as a rank takes it: it is noted, and obeyed at the end of a step, after a checkpoint."""

from __future__ import annotations

import os
import signal
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGUSR1)
"""Both mean: save, then stop. Schedulers announce the end of a job by one or the other."""

_seen: list[int] = []


def listen() -> None:
    """From now on note the signals of `STOPPING` that this process gets; the main thread calls this."""
    own = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != own:  # forked by a library, which ends its workers by SIGTERM
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        _seen.append(number)

    for number in STOPPING:
        signal.signal(number, note)


def stop_asked() -> bool:
    """Whether this process was asked to stop by a signal."""
    return bool(_seen)
