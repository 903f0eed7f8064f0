"""State of a run: what it is doing, its owner, and whether the owner lives.

Each state has one definition. ``queued``: it waits for another run, or an engine holds it back.
``starting``: the supervisor is up, no step yet. ``running``: steps or verification. ``paused``: its disk is
full, it goes on when there is room. ``stopping``: a stop was agreed or signalled. ``stopped``: ended on
request, can be resumed. ``done``: all steps, last verification and checkpoint made. ``failed``: ended by an
error. ``lost``: never written; read from a live state whose owner is dead, or does nothing. ``damaged``:
never written; read where a file of the run can't be read.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from arcterm.errors import ArctermError, BusyError, DataError, RunError
from arcterm.files import read_json
from arcterm.runs import advice, space
from arcterm.runs.engines import record as engine
from arcterm.runs.store import Run

StateName = Literal[
    "queued", "starting", "running", "paused", "stopping", "stopped", "done", "failed", "lost", "damaged"
]
LIVE: tuple[StateName, ...] = ("queued", "starting", "running", "paused", "stopping")
HEARTBEAT_SECONDS = 2.0
_STALE_SECONDS = 60.0
_FULL_BYTES = 1 << 20
_STARTUP_SECONDS = 20.0
_SUBMIT_SECONDS = 120.0
"""Seconds that handing a run in to an engine may take."""
READY = "ready"
"""A supervisor's report to the process that started it, once it owns the run."""


class Failure(msgspec.Struct, kw_only=True, frozen=True):
    """Why a run failed: the first failing `rank` (None: the launcher), its error, the likely `cause`.

    `host` is the name of that rank's host, or of the one that was lost, where the run has several.

    `hint` is the next step, if known. One that `repeats` would happen again as it is: a mistake of a user,
    or what code does with the same numbers. What comes from outside does not.
    """

    rank: int | None = None
    host: str = ""
    cause: str
    error: str = ""
    hint: str = ""
    traceback: str = ""
    signal: str = ""
    exit_code: int | None = None
    log: str = ""
    repeats: bool = False

    @property
    def where(self) -> str:
        """Who failed first: ``rank 1``, ``rank 1 on HOST``, or the launcher."""
        who = "the launcher" if self.rank is None else f"rank {self.rank}"
        if self.rank is None and self.host:
            return f"host {self.host}"
        return f"{who} on {self.host}" if self.host else who


class State(msgspec.Struct, kw_only=True, frozen=True):
    """``state.json``. `step` is the last step known when the state was written, `t` seconds since 1970."""

    state: StateName
    attempt: int = 0
    step: int = 0
    reason: str = ""
    failure: Failure | None = None
    t: float = 0.0


class Owner(msgspec.Struct, kw_only=True, frozen=True):
    """``owner.json``: the supervisor; `pid_start` and `boot_id` tell a reused pid from the real one.

    `pid_space` is the name space of its pid, as containers have their own; empty if unknown.
    """

    host: str
    boot_id: str
    pid: int
    pid_start: int
    launcher: str
    attempt: int
    since: float
    pid_space: str = ""


class LaunchHost(msgspec.Struct, kw_only=True, frozen=True):
    """A host of an attempt, and the numbers of its ranks."""

    name: str
    address: str
    ranks: list[int]


class Launch(msgspec.Struct, kw_only=True, frozen=True):
    """``attempts/NNNN/launch.json``: argv and environment of an attempt, the checkpoint it resumes from.

    `notes` name damaged checkpoints and the one used instead; `after` how the run ended that it waited for.
    `hosts` are those of a run on several, first to last.
    """

    argv: list[str]
    env: dict[str, str]
    resume: str = ""
    notes: list[str] = []
    after: str = ""
    hosts: list[LaunchHost] = []


def write_state(run: Run, state: StateName, **fields: object) -> None:
    """Replace ``state.json``, also on a full disk."""
    space.write_json(run, run.path / "state.json", State(state=state, t=time.time(), **fields))  # type: ignore[arg-type]


def read_state(run: Run) -> State:
    """The state: ``lost`` for a live state whose owner is dead, ``damaged`` if a file can't be read."""
    try:
        _ = run.record
        state = _read(run)
        read_owner(run)
    except (ArctermError, OSError) as error:
        return State(state="damaged", reason=damage(run, error))
    return state


def damage(run: Run, error: ArctermError | OSError) -> str:
    """Why a file of the run can't be read, with its path from the run's directory on."""
    if isinstance(error, OSError):
        text = f"{error.filename} can't be read: {error.strerror}"
    else:
        text = error.message
    return text.replace(f"{run.path}/", "").replace(f"{run.path} ", "")


def check_whole(run: Run) -> None:
    """Raise `RunError` if the run is damaged."""
    state = read_state(run)
    if state.state == "damaged":
        hint = f"`arcterm show {run.id}` says what can be read, `arcterm rm {run.id}` removes it"
        raise RunError(f"{run.name} is damaged: {state.reason}", hint)


def _read(run: Run) -> State:
    try:
        state = read_json(run.path / "state.json", State)
    except FileNotFoundError:
        from arcterm.runs.reading.follow import read_tail  # which itself asks for the state

        age = _age(run.path / "run.json")
        log = read_tail(run.attempt_dir(run.attempts()) / "agent.log", 9)
        return State(
            state="starting" if age < _STARTUP_SECONDS else "lost",
            reason=": ".join(["the supervisor never started", *[line for line in log if line.strip()][-1:]]),
        )
    if state.state in ("queued", "stopped", "failed", "lost") and (held_back := _held_back(run, state)):
        return held_back
    if state.state in LIVE and not owner_alive(run):
        state = read_json(run.path / "state.json", State)  # it may have ended between the two looks
        if state.state in LIVE:
            lost = msgspec.structs.replace(state, state="lost", reason=_lost_reason(run))
            return _held_back(run, lost) or lost
    if state.state in LIVE and (pid := held(run)):
        silent = f"its supervisor, process {pid}, was heard of {_age(run.path / 'heartbeat'):.0f} s ago and"
        reason = f"{silent} waits for the kernel: for a disk, or a GPU, that does not answer"
        if _stat(pid)[:1] != ["D"]:
            reason = f"{silent} is stopped; `kill -CONT {pid}` lets it go on"
        return msgspec.structs.replace(state, state="lost", reason=reason)
    return state


def _held_back(run: Run, state: State) -> State | None:
    """The state of a run that waits in an engine's own queue, to begin or to go on; None of any other."""
    found = engine.read(run)
    if state.state != "queued":  # it ended so far, and the engine starts it again
        again = found is not None and found.state == "queued" and found.attempt == state.attempt
        if found is None or not again:
            return None
        return msgspec.structs.replace(state, state="queued", reason=found.waiting, failure=None)
    owner = read_owner(run)
    if owner is not None and owner.attempt >= state.attempt:  # its supervisor waits for another run
        return None
    if found is None or found.submitted < state.t:  # of an earlier start
        late = time.time() - state.t > _SUBMIT_SECONDS
        reason = f"it was not handed in to its engine; {advice.resuming(run)}"
        return msgspec.structs.replace(state, state="lost", reason=reason) if late else state
    if found.state == "ended":
        return msgspec.structs.replace(state, state="lost", reason=f"{found.ending}; {advice.resuming(run)}")
    return msgspec.structs.replace(state, reason=found.waiting)


def held(run: Run) -> int:
    """Process id of a supervisor on this host that lives and does nothing, 0 if it works or is gone.

    It is stopped by a signal, or the kernel holds it, and its heartbeat is old.
    """
    owner = read_owner(run)
    if owner is None or not is_here(owner) or _pid_start(owner.pid) != owner.pid_start:
        return 0
    patience = {"T": 3 * HEARTBEAT_SECONDS, "t": 3 * HEARTBEAT_SECONDS, "D": _STALE_SECONDS}
    silent = _age(run.path / "heartbeat")
    fields = _stat(owner.pid)
    return owner.pid if fields and silent > patience.get(fields[0], float("inf")) else 0


def _lost_reason(run: Run) -> str:
    owner = read_owner(run)
    reason = "the supervisor is gone without a last word"
    if owner is not None and not is_here(owner):
        reason = f"the supervisor on {owner.host} is silent"
    if shutil.disk_usage(run.path).free < _FULL_BYTES:
        reason += ", and the disk is full"
    return f"{reason}; {advice.resuming(run)}"


def take_ownership(run: Run, attempt: int, launcher: str) -> None:
    """Record in ``owner.json`` that this process supervises the run."""
    pid = os.getpid()
    owner = Owner(
        host=socket.gethostname(),
        boot_id=_boot_id(),
        pid=pid,
        pid_start=_pid_start(pid) or 0,
        launcher=launcher,
        attempt=attempt,
        since=time.time(),
        pid_space=_pid_space(),
    )
    space.write_json(run, run.path / "owner.json", owner)


def read_owner(run: Run) -> Owner | None:
    """The present or last supervisor."""
    try:
        return read_json(run.path / "owner.json", Owner)
    except FileNotFoundError:
        return None


def owner_alive(run: Run) -> bool:
    """Whether the supervisor lives: by its process on this host, by its heartbeat on another."""
    owner = read_owner(run)
    if owner is None:
        return _age(run.path / "run.json") < _STARTUP_SECONDS
    if is_here(owner):
        return _pid_start(owner.pid) == owner.pid_start
    return believed(run) > 0


def is_here(owner: Owner) -> bool:
    """Whether the supervisor was started on this host, since it was booted, and not in another container."""
    here = owner.host == socket.gethostname() and owner.boot_id == _boot_id()
    return here and owner.pid_space in ("", _pid_space())


def believed(run: Run) -> float:
    """Seconds for which a silent supervisor on another host is still taken to be alive."""
    return max(0.0, _STALE_SECONDS - _age(run.path / "heartbeat"))


def last_beat(run: Run) -> float:
    """Time of the last heartbeat, seconds since 1970; 0 if there was none."""
    try:
        return (run.path / "heartbeat").stat().st_mtime
    except FileNotFoundError:
        return 0.0


def check_resumable(run: Run, *, longer: bool = False, queued: bool = False) -> None:
    """Raise `RunError` if the run is live, or done, unless it is a training to be made `longer`.

    A process that an engine started may take a run that is `queued` there.
    """
    if (log := run.record.log) is not None:
        raise RunError(
            f"{run.name} was trained by {log.program}, and only its log is here: there is no checkpoint",
            f"`arcterm chart {run.id}` draws it; `arcterm train --pretrained MODEL` goes on from its model",
        )
    now = read_state(run)
    if pid := held(run):
        raise RunError(
            f"{run.name} has a supervisor that does nothing, process {pid}",
            f"`kill -CONT {pid}` lets it go on, `arcterm stop {run.id} --now` ends it",
        )
    if now.state in LIVE and not (queued and now.state == "queued"):
        owner = read_owner(run)
        if owner is None or is_here(owner) or now.state == "queued":
            raise RunError(f"{run.name} is {now.state}", f"`arcterm attach {run.id}` shows it")
        silent = _age(run.path / "heartbeat")
        raise RunError(
            f"{run.name} is {now.state} on {owner.host}, which was heard of {silent:.0f} s ago",
            f"if that host is gone, it is believed for {believed(run):.0f} s more: "
            f"`arcterm resume {run.id} --wait` waits for that",
        )
    if now.state == "done":
        if run.record.config.kind == "job":
            raise RunError(f"{run.name} is done", f"`arcterm show {run.id}` has its report")
        if not longer:
            raise RunError(
                f"{run.name} is done: all {run.config.steps} steps were made",
                f"`arcterm resume {run.id} --steps {2 * run.config.steps}` goes on beyond them",
            )


def beat(run: Run) -> None:
    """Show readers on other hosts that the supervisor lives."""
    with contextlib.suppress(OSError):  # on a full disk there may be no room for it
        (run.path / "heartbeat").touch(mode=0o600)


@contextlib.contextmanager
def beating(run: Run) -> Iterator[None]:
    """Beat from a thread, while this one is busy with what takes long."""
    done = threading.Event()

    def go_on() -> None:
        while not done.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(OSError):
                beat(run)

    thread = threading.Thread(target=go_on, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def lock(run: Run, held: int | None = None) -> Iterator[int]:
    """Hold the run's lock, and give its descriptor; raises `RunError` if another process holds it.

    The lock is the kernel's (flock): it goes with the last process that has the descriptor, whatever kills
    it. `held` is the descriptor of a lock that another process took and passed on.
    """
    if held is not None:
        os.set_inheritable(held, False)
        try:
            yield held
        finally:
            os.close(held)
        return
    fd = os.open(run.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = "another process"
            with contextlib.suppress(DataError, OSError):
                owner = read_owner(run)
                who = f"process {owner.pid} on {owner.host}" if owner and owner_alive(run) else who
            raise BusyError(
                f"{run.id} is being run by {who}", f"`arcterm attach {run.id}` shows it"
            ) from None
        yield fd
    finally:
        os.close(fd)


def is_locked(run: Run) -> bool:
    """Whether a process on this host holds the run's lock; raises `RunError` if unknown."""
    try:
        with lock(run):
            return False
    except RunError:
        return True
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP):  # nothing to be held
            return False
        raise RunError(
            f"can't open {run.path / 'lock'}: {error.strerror}", "look at its owner and mode"
        ) from None


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _pid_space() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _pid_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None if there is none, or a zombie."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in "ZX" else None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state's letter on; none if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()
