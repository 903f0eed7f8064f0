"""The local engine: a supervisor in a session of its own, out of reach of what happens to a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from arcterm_registry import Launcher

from arcterm import environment
from arcterm.errors import StartError
from arcterm.processes import signals
from arcterm.processes.detached import Detached, keep
from arcterm.runs import state
from arcterm.runs.reading.follow import read_tail
from arcterm.runs.state import Failure
from arcterm.runs.store import Run

_PATIENCE_SECONDS = 120.0


launcher = Launcher(
    summary="torchrun on this machine, in a session of its own", factory="arcterm.launch.local:Local"
)


class Local:
    """Runs on this machine."""

    def submit(self, run: Run, *options: str) -> str:
        """Start the run's supervisor and return its process id once it owns the run.

        Raises `RunError` if the run is busy, `StartError` with the supervisor's last words if it does not
        come up. The run's lock is handed on to the supervisor, so that of several who start it one succeeds.
        """
        with state.lock(run) as lock:
            if run.attempts():
                # it may have gone on and ended since somebody looked
                state.check_resumable(run, longer="--change" in options)
            attempt = run.attempts() + 1
            log = run.attempt_dir(attempt) / "agent.log"
            log.parent.mkdir(parents=True, mode=0o700)
            process, said = _start(run, attempt, lock, log, options)
            if said != state.READY:
                raise _not_started(run, attempt, process, said, log)
        keep(process)
        return str(process.pid)


def _start(run: Run, attempt: int, lock: int, log: Path, options: Sequence[str]) -> tuple[Detached, str]:
    """Start the supervisor; returns it and what it says of itself: ready, why it can't, or nothing."""
    listening, telling = os.pipe()
    with os.fdopen(listening, "rb", buffering=0) as ear:
        try:
            with log.open("ab") as output, signals.blocked():
                process = Detached(
                    [
                        *(sys.executable, "-m", "arcterm.processes.supervisor"),
                        *(str(run.path.resolve()), str(attempt)),
                        *(str(lock), str(telling), *options),
                    ],
                    env=environment.for_child(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    close_fds=True,
                    pass_fds=(lock, telling),
                )
        finally:
            os.close(telling)
        return process, _hear(ear.fileno())


def _hear(pipe: int) -> str:
    """All that is written into a pipe until nobody holds its other end, or patience ends."""
    heard = b""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        if select.select([pipe], [], [], left)[0]:
            chunk = os.read(pipe, 1 << 16)
            if not chunk:
                return heard.decode(errors="replace")
            heard += chunk
    return f"it was not up after {_PATIENCE_SECONDS:.0f} s"


def _not_started(run: Run, attempt: int, process: Detached, said: str, log: Path) -> StartError:
    """The error of a supervisor that did not come up; the run is marked as failed if it can be written."""
    process.kill()
    code = process.wait()
    last = [line for line in read_tail(log, 12) if line.strip()]
    reason = said.strip() or "\n".join(last) or f"it ended with {code} and left no word"
    cause = f"the supervisor did not start: {reason.splitlines()[-1] if not said else reason.splitlines()[0]}"
    step = f"once that is mended, `arcterm resume {run.id}` begins"
    failure = Failure(cause=cause, error=reason, hint=step, exit_code=code, log=str(log))
    with contextlib.suppress(OSError):
        if state.read_state(run).state != "done":  # a run that was to be made longer is what it was
            state.write_state(run, "failed", attempt=attempt, reason=cause, failure=failure)
    return StartError(f"the supervisor of {run.id} did not start:\n{reason}", f"{step}; its log: {log}")
