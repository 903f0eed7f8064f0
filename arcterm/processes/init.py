"""The first process of a container. The kernel gives it no default actions for signals, and every orphan.

A small process stays in its place, passes signals on and reaps; the command itself runs as its child. When
that has ended, as after ``--detach``, the container lives on until its runs have ended too, and the trackers
of these have everything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

_PASSED_ON = {
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH),
}
_SUPERVISOR, _TRACKER = b"arcterm.processes.supervisor", b"arcterm.processes.tracker"


def step_aside() -> None:
    """Go on in a child if this is the first process of a container."""
    if os.getpid() != 1:
        return
    waited = {*_PASSED_ON, signal.SIGCHLD}
    # blocked, they reach even this process, and wait until it asks for them
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    child = os.fork()
    if child:
        os._exit(_serve(child, waited))
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(child: int, waited: set[signal.Signals]) -> int:
    """Pass signals on and reap, until `child` and all supervisors have ended; returns the exit code."""
    code: int | None = None
    while True:
        got = signal.sigwaitinfo(waited)
        if got.si_signo == signal.SIGCHLD:
            code = _reap(child, code)
            if code is not None and not _running(_SUPERVISOR, _TRACKER):
                return code
        # a terminal sends its signals to the child by itself: only those of processes have such a code
        elif got.si_code <= 0:
            for pid in [child] if code is None else _running(_SUPERVISOR):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, got.si_signo)
            if code is not None and got.si_signo in (signal.SIGTERM, signal.SIGINT):
                code = 130
                if not _running(_SUPERVISOR):  # a tracker is not waited for against a will
                    return code


def _reap(child: int, code: int | None) -> int | None:
    """Take in every process that has ended; returns the exit code of `child`, None while it runs."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == child:
                own = os.waitstatus_to_exitcode(ended[1])
                code = own if own >= 0 else 128 - own
                if runs := len(_running(_SUPERVISOR)):
                    text = f"{runs} run{'s' * (runs != 1)} go{'es' * (runs == 1)} on in this container"
                    sys.stderr.write(f"{text}; SIGTERM stops after a checkpoint\n")
    return code


def _running(*programs: bytes) -> list[int]:
    """The processes of these programs in this container that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if set(programs) & set(folder.joinpath("cmdline").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return found
