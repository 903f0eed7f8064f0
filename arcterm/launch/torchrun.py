"""The local engine: a supervisor in a session of its own, out of reach of what happens to a terminal."""

from __future__ import annotations

import subprocess
import sys

from arcterm.errors import RunError
from arcterm.runs import state
from arcterm.runs.store import Run


class _Detached(subprocess.Popen[bytes]):
    """A process that is meant to outlive this one, which Python would warn of."""

    def __del__(self, *args: object, **kwargs: object) -> None:
        """Leave it alone."""


_supervisors: list[_Detached] = []
"""Those that this process started, kept until they have ended so that none is left as a zombie."""


class Local:
    """Runs on this machine."""

    def submit(self, run: Run) -> str:
        """Start the run's supervisor and return its process id; raises `RunError` if the run is busy."""
        with state.lock(run):
            pass  # refuse here, in words, what the supervisor could only write to a log
        attempt = run.attempts() + 1
        log = run.attempt_dir(attempt)
        log.mkdir(parents=True, mode=0o700)
        with (log / "agent.log").open("ab") as output:
            process = _Detached(
                [sys.executable, "-m", "arcterm.supervise", str(run.path.resolve()), str(attempt)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                close_fds=True,
            )
        _supervisors[:] = [p for p in _supervisors if p.poll() is None] + [process]
        return str(process.pid)


def submit(run: Run) -> str:
    """Start `run` with the local engine."""
    try:
        return Local().submit(run)
    except OSError as error:
        raise RunError(f"can't start a supervisor: {error}", "look at the system's process limits") from None
