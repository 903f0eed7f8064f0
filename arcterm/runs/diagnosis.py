"""The end of an attempt: the records of ranks and agent, and their most likely meaning."""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from arcterm.errors import DataError
from arcterm.files import read_json
from arcterm.runs import advice
from arcterm.runs.reading.follow import read_tail
from arcterm.runs.state import Failure
from arcterm.runs.store import Run


class Exit(msgspec.Struct, kw_only=True, frozen=True):
    """``rank-NNNNN/exit.json``, a rank's own record of its end: `reason` is done, stopped or error.

    `exit_code` is that of a user's mistake, explained by `error` and `hint`; else 1. `remedy` is how the
    supervisor may go on from the last checkpoint: lower-lr halves the learning rate first.
    """

    reason: Literal["done", "stopped", "error"]
    step: int = 0
    detail: str = ""
    error: str = ""
    hint: str = ""
    traceback: str = ""
    exit_code: int = 1
    remedy: Literal["", "lower-lr"] = ""
    t: float = 0.0


class Fallen(msgspec.Struct, kw_only=True, frozen=True):
    """A rank as the agent saw it end, at second `t`: `exit_code` is negative for a signal."""

    rank: int
    pid: int
    exit_code: int
    t: float = 0.0


class AgentReport(msgspec.Struct, kw_only=True, frozen=True):
    """``failure.json``: the ranks that failed, first to last, or what ended the agent."""

    ranks: list[Fallen] = []
    signal: str = ""
    error: str = ""
    t: float = 0.0


_PEER = re.compile(
    r"Connection (closed|reset|refused)|Broken pipe|connectFullMesh|remote process exited|recvBytes|sendBytes"
    r"|NCCL (error|communicator)|nccl\w*Error|Dist(Backend|Network|Store)?Error|ProcessGroup(NCCL|Gloo)|gloo/"
    r"|Socket Timeout|Application timeout|Timed out waiting|Timeout waiting for key|watchdog|writev|readv",
    re.IGNORECASE,
)
_CLOSED = re.compile(r"closed|reset|refused|Broken pipe|exited|remoteError", re.IGNORECASE)
_KILL_SECONDS = 10
"""The agent gives the ranks that are left longer than this before it kills them."""


@dataclass(frozen=True)
class _Cause:
    """A `pattern` in a rank's error, its meaning, and the `step` to take.

    In the step ``{resume}`` stands for the effect of resuming. One that begins with "with" is for a new
    training, since resuming would repeat the failure; `otherwise` is for a job, which has no such options.
    """

    pattern: str
    words: str
    step: str
    otherwise: str = "look at its log; then {resume}"


_CAUSES = (
    _Cause(
        r"CUDA (error: )?out of memory|OutOfMemoryError|CU(DNN|BLAS)_STATUS_ALLOC_FAILED",
        "the GPU ran out of memory",
        "with a lower --batch-size",
        "free memory on it; then {resume}",
    ),
    _Cause(
        r"[/]dev/shm/[\s\S]*No space left|No space left[\s\S]*/dev/shm/|shared memory segment /dev/shm"
        r"|unable to (open|write to|resize) .{0,20}shared memory|failed to extend /dev/shm",
        "shared memory (/dev/shm) is full",
        "give it more room (in a container --shm-size or --ipc=host); then {resume}",
    ),
    _Cause(r"No space left|Disk quota|Errno 28|Errno 122", "the disk is full", "make room; then {resume}"),
    _Cause(
        r"Duplicate GPU",
        "two ranks got the same GPU",
        "with every GPU named once in --gpus and in CUDA_VISIBLE_DEVICES, or with a lower --nproc",
    ),
    _Cause(
        r"Failed to find C compiler|No working C\+\+ compiler|InvalidCxxCompiler|CppCompileError"
        r"|No such file or directory: '[^']*(gcc|g\+\+|clang|clang\+\+|cc)'|Python\.h: No such file",
        "compiling needs a C compiler and Python's headers, which are not there",
        "install them (gcc, g++, python3-dev) or name one in CC; then {resume}. "
        "A new run with --set compile=no and --set head_precision=float32 needs none",
    ),
    _Cause(
        r"OutOfResources|out of resource: (shared memory|registers|threads)",
        "a compiled kernel needs more than this GPU has",
        "with --set head_precision=float32 and --set compile=no, which need none",
    ),
    _Cause(
        r"Expected more than 1 value per channel",
        "a batch norm needs more than 1 image a rank",
        "with a --batch-size of 2 or more",
    ),
    _Cause(
        r"address for: lo\b",
        "the loopback interface is down",
        "bring it up (as root: ip link set lo up); then {resume}",
    ),
    _Cause(r"Address already in use", "a port was taken", "{resume}"),
    _Cause(
        r"CUDA driver|no kernel image|CUDA error",
        "CUDA failed",
        "look at the driver and the GPU; then {resume}",
    ),
    _Cause(
        r"MemoryError|Cannot allocate memory|can't allocate memory",
        "the host ran out of memory",
        "with a lower --batch-size or --nproc, unless other programs took it",
        "free some memory; then {resume}",
    ),
)
_NATIVE = ("SIGBUS", "SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP")
_SIGNALS = {
    "SIGKILL": "killed from outside, most often by the kernel for lack of memory (see `dmesg`)",
    "SIGSEGV": "a crash inside native code; its stack is in stderr.log",
    "SIGBUS": "shared memory or a mapped file went away: look at /dev/shm and the data's disk",
    "SIGABRT": "native code gave up; its last words are in stderr.log",
}


def read_exit(run: Run, attempt: int, rank: int) -> Exit | None:
    """A rank's record of its end, if it left one."""
    try:
        return read_json(run.rank_dir(attempt, rank) / "exit.json", Exit)
    except (OSError, DataError):
        return None


def diagnose(run: Run, attempt: int, agent_code: int) -> Failure:
    """Find which rank failed first, its error, the likely cause and the next step.

    Time decides: the first error counts, and later ones follow from it. A rank that lost a peer is a witness:
    another must have died before it.
    """
    report = _read_report(run, attempt)
    if not run.record.config.ranks and agent_code < 0:  # it has no agent but is its own rank
        report = AgentReport(ranks=[Fallen(rank=0, pid=0, exit_code=agent_code)])
    errors = {rank: e for rank, e in _read_exits(run, attempt).items() if e.reason == "error"}
    first = min(errors, key=lambda rank: errors[rank].t, default=None)
    if first is not None and not _is_witness(errors[first].error):
        return _failure_of_error(run, attempt, first, errors[first])
    fallen = _silent_rank(report, errors, errors[first].error if first is not None else "")
    if fallen is None and (first is not None or agent_code == 0):
        fallen = _vanished_rank(run, attempt, report)
    if fallen is not None:
        return _failure_of_silent(run, attempt, fallen)
    if first is not None:
        own = [rank for rank, ended in errors.items() if not _is_witness(ended.error)]
        rank = min(own or [first], key=lambda r: errors[r].t)
        return _failure_of_error(run, attempt, rank, errors[rank])
    return _failure_of_launcher(run, attempt, report, agent_code)


def _is_witness(text: str) -> bool:
    """Whether a rank reports only that it lost another, without a cause of its own."""
    return bool(_PEER.search(text)) and _likely_cause(text) is None


def _silent_rank(report: AgentReport, errors: Mapping[int, Exit], witness: str) -> Fallen | None:
    """The rank that ended without a record, and not because the agent or a watchdog ended it for another.

    `witness` is the first error of a rank that lost another; empty without one.
    """
    began = min((f.t for f in report.ranks if f.t), default=0.0)
    found = [
        f
        for f in report.ranks
        if f.rank not in errors and not (f.exit_code == -signal.SIGKILL and f.t > began + _KILL_SECONDS)
    ]
    if witness and not _CLOSED.search(
        witness
    ):  # it waited in vain for one that lived until the agent ended it
        found = [f for f in found if f.exit_code != -signal.SIGTERM]
    last = {-signal.SIGABRT: 1, -signal.SIGTERM: 2}
    return min(found, key=lambda f: last.get(f.exit_code, 0), default=None)


def _vanished_rank(run: Run, attempt: int, report: AgentReport) -> Fallen | None:
    """A rank that ended with exit code 0, so that the agent does not report it, and left no record."""
    known = {f.rank for f in report.ranks} | set(_read_exits(run, attempt))
    ranks = (int(path.name.removeprefix("rank-")) for path in run.attempt_dir(attempt).glob("rank-*"))
    return next((Fallen(rank=r, pid=0, exit_code=0) for r in sorted(ranks) if r not in known), None)


def _failure_of_silent(run: Run, attempt: int, fallen: Fallen) -> Failure:
    """The failure of a rank that left no record."""
    log = run.rank_dir(attempt, fallen.rank) / "stderr.log"
    last = "\n".join(read_tail(log, 30))
    likely = _likely_cause(last)
    name = _signal_name(-fallen.exit_code) if fallen.exit_code < 0 else ""
    cause = "the rank ended before it could say why; its log has the last lines"
    if name:
        why = likely.words if likely and name in _NATIVE else _SIGNALS.get(name, "a signal from outside")
        cause = f"rank {fallen.rank} ended by {name}: {why}"
    elif fallen.exit_code == 0:
        cause = "the rank ended without a word or an error: something in it called os._exit"
    elif likely is not None:
        cause = likely.words
    # what native code does it does again, what comes from outside need not
    advised = advice.resuming if name and name not in _NATIVE[1:] else advice.mended
    return Failure(
        rank=fallen.rank,
        cause=cause,
        hint=_next_step(run, likely) if likely else advised(run),
        signal=name,
        exit_code=fallen.exit_code,
        traceback=last,
        log=str(log),
    )


def _failure_of_error(run: Run, attempt: int, rank: int, ended: Exit) -> Failure:
    likely = _likely_cause(ended.error)
    if likely is not None:
        cause, step = likely.words, _next_step(run, likely)
    else:
        cause = ended.error.splitlines()[0] if ended.error else "the rank did not say why"
        step = advice.resuming(run) if _is_witness(ended.error) else advice.mended(run)
    return Failure(
        rank=rank,
        cause=cause,
        error=ended.error,
        hint=ended.hint or step,
        traceback=ended.traceback,
        exit_code=ended.exit_code,
        log=str(run.rank_dir(attempt, rank) / "stderr.log"),
    )


def _failure_of_launcher(run: Run, attempt: int, report: AgentReport, agent_code: int) -> Failure:
    """The failure of an agent whose ranks left nothing behind."""
    log = run.attempt_dir(attempt) / "agent.log"
    last = "\n".join(read_tail(log, 30))
    likely = _likely_cause(last)
    step = _next_step(run, likely) if likely else advice.resuming(run)
    if agent_code < 0:
        cause, name = f"the launcher was killed ({_signal_name(-agent_code)})", _signal_name(-agent_code)
    elif report.signal:
        cause, name = f"the launcher was told to end ({report.signal})", report.signal
    else:
        error = report.error or next(
            (line for line in reversed(read_tail(log, 30)) if line.strip()), "no word"
        )
        cause, name = likely.words if likely else f"the launcher failed: {error}", ""
    return Failure(cause=cause, hint=step, signal=name, exit_code=agent_code, traceback=last, log=str(log))


def _likely_cause(text: str) -> _Cause | None:
    return next((cause for cause in _CAUSES if re.search(cause.pattern, text)), None)


def _next_step(run: Run, cause: _Cause) -> str:
    step = cause.step
    if step.startswith("with "):
        if run.record.config.kind == "training":
            return advice.again(run, step)
        step = cause.otherwise
    return step.format(resume=advice.resuming(run))


def _read_exits(run: Run, attempt: int) -> dict[int, Exit]:
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


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
