"""How an attempt ended: what each rank and the agent left behind, and what it most likely means."""

from __future__ import annotations

import re
import signal
from typing import Literal

import msgspec

from arcterm.errors import DataError
from arcterm.runs.files import read_json
from arcterm.runs.follow import read_tail
from arcterm.runs.state import Failure
from arcterm.runs.store import Run


class Exit(msgspec.Struct, kw_only=True, frozen=True):
    """``rank-NNNNN/exit.json``, the rank's own last word: `reason` is done, stopped or error.

    `exit_code` is that of a mistake which its user can mend, who is told `error` and `hint`; else 1.
    """

    reason: Literal["done", "stopped", "error"]
    step: int = 0
    detail: str = ""
    error: str = ""
    hint: str = ""
    traceback: str = ""
    exit_code: int = 1
    t: float = 0.0


class Fallen(msgspec.Struct, kw_only=True, frozen=True):
    """A rank as the agent saw it end: `exit_code` is negative for a signal."""

    rank: int
    pid: int
    exit_code: int


class AgentReport(msgspec.Struct, kw_only=True, frozen=True):
    """``failure.json``: the ranks that failed, or the signal that ended the agent, or its own error."""

    ranks: list[Fallen] = []
    signal: str = ""
    error: str = ""
    t: float = 0.0


_PEER = re.compile(
    r"Connection (closed|reset|refused)|Broken pipe|connectFullMesh|remote process exited|recvBytes|sendBytes"
    r"|NCCL (error|communicator)|DistBackendError|Socket Timeout|Application timeout|writev|readv",
    re.IGNORECASE,
)
_CAUSES = (
    (r"CUDA out of memory|OutOfMemoryError", "the GPU ran out of memory: lower --batch-size"),
    (r"No space left|Disk quota", "the disk is full: make room, then `arcterm resume`"),
    (r"Address already in use", "a port was taken: `arcterm resume` tries another"),
    (r"CUDA driver|no kernel image|CUDA error", "CUDA failed: look at the driver and the GPU's health"),
    (r"MemoryError|Cannot allocate memory", "the host ran out of memory: lower --batch-size or --nproc"),
)


def read_exit(run: Run, attempt: int, rank: int) -> Exit | None:
    """A rank's last word, if it had one."""
    try:
        return read_json(run.rank_dir(attempt, rank) / "exit.json", Exit)
    except (OSError, DataError):
        return None


def diagnose(run: Run, attempt: int, agent_code: int) -> Failure:
    """Which rank failed first, what it said, and the likely cause."""
    report = _read_report(run, attempt)
    exits = _exits(run, attempt)
    killed = [f for f in report.ranks if f.exit_code < 0 and f.exit_code != -signal.SIGTERM]
    if killed:
        return _killed(run, attempt, killed[0])
    errors = {rank: ended for rank, ended in exits.items() if ended.reason == "error"}
    # a rank that only lost its peer is a witness, not the culprit
    own = {rank: ended for rank, ended in errors.items() if not _PEER.search(ended.error)} or errors
    if own:
        rank = min(own, key=lambda r: own[r].t)
        return _raised(run, attempt, rank, own[rank])
    if report.ranks:
        fallen = report.ranks[0]
        log = run.rank_dir(attempt, fallen.rank) / "stderr.log"
        last = "\n".join(read_tail(log, 30))
        cause = _likely(last) or "the rank ended before it could say why; its log has the last lines"
        return Failure(
            rank=fallen.rank, cause=cause, exit_code=fallen.exit_code, traceback=last, log=str(log)
        )
    log = run.attempt_dir(attempt) / "agent.log"
    last = "\n".join(read_tail(log, 30))
    if agent_code < 0:
        name = _name(-agent_code)
        cause = f"the launcher was killed ({name}); `arcterm resume` goes on from the last checkpoint"
    else:
        cause = _likely(last) or report.error or "the launcher failed; its log has the last lines"
    signal_name = _name(-agent_code) if agent_code < 0 else report.signal
    return Failure(cause=cause, signal=signal_name, exit_code=agent_code, traceback=last, log=str(log))


def _killed(run: Run, attempt: int, fallen: Fallen) -> Failure:
    name = _name(-fallen.exit_code)
    causes = {
        "SIGKILL": "killed from outside, most often by the kernel for lack of memory (see `dmesg`)",
        "SIGSEGV": "a crash inside native code; its stack is in stderr.log",
        "SIGBUS": "shared memory or a mapped file went away: look at /dev/shm and the data's disk",
        "SIGABRT": "native code gave up; its last words are in stderr.log",
    }
    log = run.rank_dir(attempt, fallen.rank) / "stderr.log"
    return Failure(
        rank=fallen.rank,
        cause=f"rank {fallen.rank} ended by {name}: {causes.get(name, 'a signal from outside')}",
        signal=name,
        exit_code=fallen.exit_code,
        traceback="\n".join(read_tail(log, 30)),
        log=str(log),
    )


def _raised(run: Run, attempt: int, rank: int, ended: Exit) -> Failure:
    return Failure(
        rank=rank,
        cause=_likely(ended.error) or ended.error.splitlines()[0],
        error=ended.error,
        hint=ended.hint,
        traceback=ended.traceback,
        exit_code=ended.exit_code,
        log=str(run.rank_dir(attempt, rank) / "stderr.log"),
    )


def _likely(text: str) -> str:
    return next((cause for pattern, cause in _CAUSES if re.search(pattern, text)), "")


def _exits(run: Run, attempt: int) -> dict[int, Exit]:
    found = {}
    for path in sorted(run.attempt_dir(attempt).glob("rank-*")):
        rank = int(path.name.removeprefix("rank-"))
        ended = read_exit(run, attempt, rank)
        if ended is not None:
            found[rank] = ended
    return found


def _read_report(run: Run, attempt: int) -> AgentReport:
    try:
        return read_json(run.attempt_dir(attempt) / "failure.json", AgentReport)
    except (OSError, DataError):
        return AgentReport()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
