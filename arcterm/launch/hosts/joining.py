"""This machine joins a run that another supervises."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from arcterm import environment
from arcterm.config import TrainConfig
from arcterm.errors import RunError, StartError
from arcterm.launch.hosts.asked import AskedHosts
from arcterm.processes import signals, termination
from arcterm.processes.detached import Detached, keep
from arcterm.processes.hosts import address
from arcterm.processes.hosts.link import Call, LinkError
from arcterm.processes.hosts.member import JOINED
from arcterm.runs import history
from arcterm.runs.store import Run

_PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.5
_AGAIN_SECONDS = 1.0
_OWN = ("threads", "gpus", "hosts", "least_hosts", "most_hosts", "nproc")
"""Settings that are a host's own, or compared otherwise."""

Say = Callable[[str], None]


def find(hosts: AskedHosts, root: Path, say: Say) -> Run:
    """Ask the host where all meet which run that is, and find it in `root`; waits for it for two minutes.

    Raises `RunError` if it is not there: the directory of runs must be shared.
    """
    assert hosts.meeting is not None
    towards = address.resolve(hosts.meeting.host)
    local = address.choose(hosts.local, towards)
    until, said = time.monotonic() + _PATIENCE_SECONDS, ""
    # at once: a host that is not there, or a firewall before it, answers late or never
    say(f"asking {hosts.meeting} from {local} which run it is, for {_PATIENCE_SECONDS:.0f} s at most")
    while True:
        try:
            call = Call(towards, hosts.meeting.port, local)
        except (LinkError, OSError) as error:
            why = f"{hosts.meeting} {error}" if isinstance(error, LinkError) else _unreached(hosts, error)
            if time.monotonic() > until:
                raise RunError(
                    f"{why}, for {_PATIENCE_SECONDS:.0f} s",
                    f"start the same command on {hosts.meeting.host}, and see that this host reaches it",
                ) from None
            if why != said:
                say(f"{why}; trying for {until - time.monotonic():.0f} s more")
                said = why
            time.sleep(_AGAIN_SECONDS)
            continue
        run = Run((root / call.run_id).absolute())
        there = (run.path / "run.json").is_file()
        call.leave(found=there)
        if not there:
            raise RunError(
                f"{hosts.meeting} supervises {call.run_id}, which is not in {root.absolute()} here",
                "the directory of runs must be storage that every host shares; --runs-dir names it",
            )
        return run


def differences(run: Run, config: TrainConfig) -> str:
    """Say how the config that was asked for here differs from the run's; empty if it doesn't."""
    if run.changes:
        return ""
    known = run.config
    each, wanted = config.ranks_each, known.ranks_each
    found = [] if each == wanted else [f"nproc {each} instead of {wanted}"]
    if config.nnodes != known.nnodes:
        found.append(f"nnodes {config.nnodes} instead of {known.nnodes}")
    for name, (was, now) in history.difference(known, config).items():
        if name not in _OWN:
            found.append(f"{name} {now} instead of {was}")
    return ", ".join(found)


def join(run: Run, hosts: AskedHosts, say: Say, settings: str = "") -> None:
    """Start this machine's part of the run, and return once the supervisor has taken it in.

    Raises `StartError` with its words if it is refused. `settings` are those that were asked for here and are
    not the run's.
    """
    termination.hold()
    log = run.path / "hosts" / f"{socket.gethostname()}-{os.getpid()}.log"
    try:
        log.parent.mkdir(mode=0o700, exist_ok=True)
        log.touch(mode=0o600)
    except OSError as error:
        raise RunError(
            f"{log.parent} can't be written: {error.strerror}",
            "every host needs the right to write into the run's directory",
        ) from None
    argv = [sys.executable, "-m", "arcterm.processes.hosts.member", str(run.path.resolve())]
    with log.open("ab") as output, signals.blocked():
        process = Detached(
            [*argv, hosts.local, settings],
            env=environment.for_child(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    keep(process)
    said, lines = 0, list[str]()
    while True:
        time.sleep(_LOOK_SECONDS)
        before, ended = len(lines), process.poll() is not None
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        if joined := [line for line in lines if line.startswith(JOINED)]:
            say(joined[0])
            return
        if ended:
            last = lines[said:] or [f"it ended with {process.returncode}"]
            raise StartError("\n".join(last), f"its log: {log}")
        for line in lines[said:before]:  # not the last words of one that is about to end: they are the error
            say(line)
        said = max(said, before)


def _unreached(hosts: AskedHosts, error: OSError) -> str:
    return f"{hosts.meeting} can't be reached: {error.strerror or error}"
