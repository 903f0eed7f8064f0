"""The processes below a supervisor: the agent, if there is one, the ranks, and what these started."""

from __future__ import annotations

import contextlib
import signal

import psutil

_SECONDS = 15.0


def below() -> list[psutil.Process]:
    """Every process below this one."""
    return psutil.Process().children(recursive=True)


def send(number: signal.Signals, pids: set[int] | None = None) -> None:
    """Send a signal to every process below this one, or to those of `pids` that are."""
    for process in below():
        if pids is None or process.pid in pids:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


def kill() -> list[psutil.Process]:
    """Kill every process below this one and wait until it is gone; returns those that don't go.

    A process may start another while it is being killed, so that one look is not enough.
    """
    while found := below():
        send(signal.SIGKILL)
        left = psutil.wait_procs(found, timeout=_SECONDS)[1]
        if left:
            return left
    return []


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
