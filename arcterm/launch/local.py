"""The local engine: a supervisor in a session of its own, out of reach of what happens to a terminal."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from arcterm_registry import Launcher
from arcterm_registry.contracts import EngineState, Submission

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
    """Runs on this machine. Its ids are process ids of supervisors."""

    def check(self, submission: Submission) -> list[str]:
        """Find that this machine is one host; what a run of it needs is looked at by its plan."""
        if submission.hosts == 1:
            return []
        return [f"this machine is one host of {submission.hosts} → start the command on the others too"]

    def describe(self, submission: Submission) -> str:
        """Return the supervisor's command; the run's lock is handed on to it."""
        return shlex.join(submission.command)

    def state(self, ids: Sequence[str]) -> dict[str, EngineState]:
        """Return which of the supervisors run."""
        return {each: EngineState(state="running" if _runs(each) else "unknown") for each in ids}

    def stop(self, id: str, *, at_once: bool) -> None:
        """Have a supervisor save and stop, or end its run at once."""
        if _runs(id):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(id), signal.SIGQUIT if at_once else signal.SIGTERM)

    def logs(self, id: str) -> list[Path]:
        """Return nothing: a supervisor writes into its run's directory."""
        return []

    def submit(self, submission: Submission) -> str:
        """Start the run's supervisor and return its process id once it owns the run.

        Raises `RunError` if the run is busy, `StartError` with the supervisor's last words if it does not
        come up. The run's lock is handed on to the supervisor, so that of several who start it one succeeds.
        """
        run = Run(submission.folder)
        at = submission.command.index(str(submission.folder)) + 1
        command, options = submission.command[:at], submission.command[at:]
        with state.lock(run) as lock:
            if run.attempts():
                # it may have gone on and ended since somebody looked
                state.check_resumable(run, longer="--change" in options)
            attempt = run.attempts() + 1
            log = run.attempt_dir(attempt) / "agent.log"
            log.parent.mkdir(parents=True, mode=0o700)
            process, said = _start([*command, str(attempt)], lock, log, options)
            if said != state.READY:
                raise _not_started(run, attempt, process, said, log)
        keep(process)
        return str(process.pid)


def _runs(id: str) -> bool:
    """Whether a supervisor of this user's has this process id."""
    try:
        words = Path(f"/proc/{int(id)}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return False
    return b"arcterm.processes.supervisor" in words


def _start(command: Sequence[str], lock: int, log: Path, options: Sequence[str]) -> tuple[Detached, str]:
    """Start the supervisor; returns it and what it says of itself: ready, why it can't, or nothing."""
    listening, telling = os.pipe()
    with os.fdopen(listening, "rb", buffering=0) as ear:
        try:
            with log.open("ab") as output, signals.blocked():
                process = Detached(
                    [*command, str(lock), str(telling), *options],
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
