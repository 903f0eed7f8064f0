"""Who failed first in an attempt, and what it most likely means."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from arcterm.runs import advice
from arcterm.runs.diagnosis.causes import CLOSED, PEER, Cause, likely_cause
from arcterm.runs.diagnosis.records import AgentReport, Exit, Fallen, read_exits, read_report
from arcterm.runs.reading.follow import read_tail
from arcterm.runs.state import Failure
from arcterm.runs.store import Run

_KILL_SECONDS = 4
"""The ranks that are left after one has ended have longer than this before they are killed."""
_NATIVE = ("SIGBUS", "SIGSEGV", "SIGABRT", "SIGILL", "SIGFPE", "SIGTRAP")
_SIGNALS = {
    "SIGKILL": "killed from outside, most often by the kernel for lack of memory (see `dmesg`)",
    "SIGSEGV": "a crash inside native code; its stack is in stderr.log",
    "SIGBUS": "shared memory or a mapped file went away: look at /dev/shm and the data's disk",
    "SIGABRT": "native code gave up; its last words are in stderr.log",
}


def diagnose(
    run: Run,
    attempt: int,
    agent_code: int,
    report: AgentReport | None = None,
    exits: Mapping[int, Exit] | None = None,
    lost: Failure | None = None,
) -> Failure:
    """Find which rank failed first, its error, the likely cause and the next step.

    Time decides: the first error counts, and later ones follow from it. A rank that lost a peer is a witness:
    another must have died before it. `report` and `exits` are what agents and ranks of all hosts said, by
    default what lies in the run's directory; `lost` is the failure of a host that was lost, which is the
    cause where the ranks of the others are witnesses only.
    """
    report = read_report(run.attempt_dir(attempt)) if report is None else report
    exits = read_exits(run, attempt) if exits is None else exits
    errors = {rank: e for rank, e in exits.items() if e.reason == "error"}
    first = min(errors, key=lambda rank: errors[rank].t, default=None)
    if first is not None and not _is_witness(errors[first].error):
        return _failure_of_error(run, attempt, first, errors[first])
    if lost is not None:
        return lost
    fallen = _silent_rank(report, errors, errors[first].error if first is not None else "")
    if fallen is None and (first is not None or agent_code == 0):
        fallen = _vanished_rank(run, attempt, report, exits)
    if fallen is not None:
        return _failure_of_silent(run, attempt, fallen)
    if first is not None:
        own = [rank for rank, ended in errors.items() if not _is_witness(ended.error)]
        rank = min(own or [first], key=lambda r: errors[r].t)
        return _failure_of_error(run, attempt, rank, errors[rank])
    return _failure_of_launcher(run, attempt, report, agent_code)


def _is_witness(text: str) -> bool:
    """Whether a rank reports only that it lost another, without a cause of its own."""
    return bool(PEER.search(text)) and likely_cause(text) is None


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
    if witness and not CLOSED.search(
        witness
    ):  # it waited in vain for one that lived until the agent ended it
        found = [f for f in found if f.exit_code != -signal.SIGTERM]
    last = {-signal.SIGABRT: 1, -signal.SIGTERM: 2}
    return min(found, key=lambda f: last.get(f.exit_code, 0), default=None)


def _vanished_rank(run: Run, attempt: int, report: AgentReport, exits: Mapping[int, Exit]) -> Fallen | None:
    """A rank that ended with exit code 0, so that the agent does not report it, and left no record."""
    known = {f.rank for f in report.ranks} | set(exits)
    ranks = (int(path.name.removeprefix("rank-")) for path in run.attempt_dir(attempt).glob("rank-*"))
    return next((Fallen(rank=r, pid=0, exit_code=0) for r in sorted(ranks) if r not in known), None)


def _failure_of_silent(run: Run, attempt: int, fallen: Fallen) -> Failure:
    """The failure of a rank that left no record."""
    log = run.rank_dir(attempt, fallen.rank) / "stderr.log"
    last = "\n".join(read_tail(log, 30))
    likely = likely_cause(last)
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
        repeats=likely is not None and not likely.outside and name not in ("SIGKILL", "SIGTERM"),
    )


def _failure_of_error(run: Run, attempt: int, rank: int, ended: Exit) -> Failure:
    likely = likely_cause(ended.error)
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
        repeats=not _is_witness(ended.error) and not (likely and likely.outside),
    )


def _failure_of_launcher(run: Run, attempt: int, report: AgentReport, agent_code: int) -> Failure:
    """The failure of an agent whose ranks left nothing behind."""
    log = run.attempt_dir(attempt) / "agent.log"
    last = "\n".join(read_tail(log, 30))
    likely = likely_cause(last)
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
    return Failure(
        cause=cause,
        hint=step,
        signal=name,
        exit_code=agent_code,
        traceback=last,
        log=str(log),
        repeats=not name and not (likely and likely.outside),
    )


def _next_step(run: Run, cause: Cause) -> str:
    step = cause.step
    if step.startswith("with "):
        if run.record.config.kind == "training":
            return advice.again(run, step)
        step = cause.otherwise
    return step.format(resume=advice.resuming(run))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
