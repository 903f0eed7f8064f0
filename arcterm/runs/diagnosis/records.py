"""What ranks, agent and supervisor leave behind when an attempt ends."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from arcterm.errors import DataError
from arcterm.files import read_json
from arcterm.runs import space
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
    """A rank as the agent, or without one the supervisor, saw it end, at second `t`.

    `exit_code` is negative for a signal.
    """

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


class AttemptEnd(msgspec.Struct, kw_only=True, frozen=True):
    """``attempts/NNNN/ended.json``: how an attempt ended, after `step` steps of the run, at second `t`.

    `state` is failed also where the run went on in a new attempt.
    """

    attempt: int
    state: Literal["done", "stopped", "failed"]
    step: int = 0
    reason: str = ""
    failure: Failure | None = None
    t: float = 0.0


def read_exit(run: Run, attempt: int, rank: int) -> Exit | None:
    """A rank's record of its end, if it left one."""
    try:
        return read_json(run.rank_dir(attempt, rank) / "exit.json", Exit)
    except (OSError, DataError):
        return None


def read_exits(run: Run, attempt: int) -> dict[int, Exit]:
    """Read the records that an attempt's ranks left, by rank."""
    found = {}
    for path in sorted(run.attempt_dir(attempt).glob("rank-*")):
        rank = int(path.name.removeprefix("rank-"))
        ended = read_exit(run, attempt, rank)
        if ended is not None:
            found[rank] = ended
    return found


def read_report(folder: Path) -> AgentReport:
    """Read an agent's record of the ranks that failed, in its `folder`; an empty one if it left none."""
    try:
        return read_json(folder / "failure.json", AgentReport)
    except (OSError, DataError):
        return AgentReport()


def write_end(run: Run, ended: AttemptEnd) -> None:
    """Record how an attempt ended."""
    space.write_json(run, run.attempt_dir(ended.attempt) / "ended.json", ended)


def read_ends(run: Run) -> list[AttemptEnd]:
    """Read how the attempts at a run ended, oldest first, without those that left no record."""
    found = []
    for path in sorted((run.path / "attempts").glob("[0-9]*/ended.json")):
        try:
            found.append(read_json(path, AttemptEnd))
        except (OSError, DataError):
            continue
    return found
