"""The one command that a launcher runs on every host of a run, in the foreground.

    python -m arcterm.processes.host RUN [--local-addr ADDRESS|INTERFACE] [--from-start] [--change NAME]

The first to take the run's lock begins the next attempt, from the newest whole checkpoint, and supervises it;
on the other hosts of a run on several the command joins it, over the network of the address named.
SIGTERM, SIGUSR1 and SIGINT mean: save, then stop. It exits with 0 if the run is done, 130 if it was stopped,
1 if it failed, and with the code of the error if it can't begin.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from arcterm.errors import ArctermError, BusyError, RunError
from arcterm.processes import supervisor
from arcterm.processes.hosts import address
from arcterm.processes.hosts.address import Meeting
from arcterm.processes.hosts.member import HostMember
from arcterm.runs import state
from arcterm.runs.store import Run

_LOOK_SECONDS = 0.5


def main() -> int:
    """Supervise the run until it has ended."""
    run, options = Run(Path(sys.argv[1]).resolve()), sys.argv[2:]
    with _heard() as say:
        try:
            local = _take_local(options)
            try:
                with state.lock(run):
                    return _supervise(run, _meeting(run, local) + options, say)
            except BusyError:
                if not _has_others(run):
                    raise
            return HostMember(run, local, say).serve()
        except (ArctermError, OSError) as error:
            say(str(error))
            return error.exit_code if isinstance(error, ArctermError) else 5


def _supervise(run: Run, options: list[str], say: Callable[[str], None]) -> int:
    """Begin the next attempt at the run, whose lock is held; returns the exit code."""
    changed = "--change" in options
    if state.read_state(run).state == "done" and not changed:
        say(f"{run.name} is done")
        return 0
    _wait_for_silent_host(run, say)
    if run.attempts():
        state.check_resumable(run, longer=changed, queued=True)
    attempt = run.attempts() + 1
    supervisor.log_into(run.attempt_dir(attempt))
    say(f"{run.name}: attempt {attempt} on {socket.gethostname()}; {run.attempt_dir(attempt) / 'agent.log'}")
    code = supervisor.own(run, attempt, options)
    ended = state.read_state(run)
    say(": ".join(filter(None, (f"{run.name} is {ended.state}", ended.reason))))
    return code


def _has_others(run: Run) -> bool:
    """Whether the run works on several hosts."""
    config = run.record.config
    return max(config.hosts, config.most_hosts) > 1


def _take_local(options: list[str]) -> str:
    """Take --local-addr out of the options; returns the address or interface that it names."""
    if "--local-addr" not in options:
        return ""
    place = options.index("--local-addr")
    _, named = options[place : place + 2]
    del options[place : place + 2]
    return named


def _meeting(run: Run, local: str) -> list[str]:
    """The option by which the supervisor listens for other hosts: on the address that they reach."""
    if not _has_others(run):
        return []
    return ["--listen", str(Meeting(address.choose(local, "") if local else address.usual(), 0))]


def _wait_for_silent_host(run: Run, say: Callable[[str], None]) -> None:
    """Wait until a supervisor on another host, which died with it, is believed no longer.

    Raises `RunError` if it lives, as where the file system gives its lock to several hosts at once.
    """
    heard, said = state.last_beat(run), False
    lives = [name for name in state.LIVE if name != "queued"]  # which waits for this process
    while (owner := state.read_owner(run)) is not None and state.read_state(run).state in lives:
        if state.last_beat(run) != heard or state.is_here(owner):
            raise RunError(
                f"{run.name} is being run on {owner.host}, and yet its lock is free",
                "keep the runs on a file system whose flock holds between hosts",
            )
        if not said:
            say(
                f"waiting {state.believed(run):.0f} s at most for {owner.host}, which supervised the run last"
            )
            said = True
        time.sleep(_LOOK_SECONDS)


@contextlib.contextmanager
def _heard() -> Iterator[Callable[[str], None]]:
    """Give a function that writes a line to the launcher's log, wherever stderr is sent later."""
    with os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace") as log:

        def say(text: str) -> None:
            with contextlib.suppress(OSError):  # the disk of that log is full
                log.write(f"{text}\n")
                log.flush()

        yield say


if __name__ == "__main__":
    sys.exit(main())
