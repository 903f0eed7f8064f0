"""Signals to stop, as the processes of a run take them: never lost, and obeyed after a checkpoint.

Each of these processes is started with the signals blocked, so that none ends it before it can obey. The
agent leaves them blocked; supervisor, ranks and solo take them from when they call `listen` or `unblock`.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
"""All mean: save, then stop. Schedulers announce the end of a job by the first or the second."""

_seen: list[int] = []


@contextlib.contextmanager
def blocked() -> Iterator[None]:
    """Block the signals in this thread; a process that is started meanwhile inherits that."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unblock() -> None:
    """Take the signals from now on, with those that came before."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def listen() -> None:
    """Note the signals that this process gets; the main thread calls this."""
    own = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        if os.getpid() != own:  # forked by a library, which ends its workers by SIGTERM
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        _seen.append(number)

    for number in STOPPING:
        signal.signal(number, note)
    unblock()


def stop_asked() -> bool:
    """Whether this process was asked to stop by a signal."""
    return bool(_seen)
