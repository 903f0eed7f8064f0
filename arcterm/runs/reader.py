"""The reader of a run, for the command line, the console and `--json`: essentials first, then all events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from arcterm.errors import ArctermError, RunError
from arcterm.runs import control, trackers
from arcterm.runs.engines import record as engines
from arcterm.runs.events import AnyEvent, Rank
from arcterm.runs.reading.ahead import EssentialsAhead
from arcterm.runs.reading.batches import StepBatch
from arcterm.runs.reading.follow import Follower, read_tail
from arcterm.runs.reading.summary import Summary
from arcterm.runs.report import read_report
from arcterm.runs.state import LIVE, Owner, State, read_owner, read_state
from arcterm.runs.store import Run

if TYPE_CHECKING:  # the contracts take their time to import
    from arcterm_registry.contracts import JobReport

Events = Iterable[tuple[int, AnyEvent]]
"""(attempt, event), oldest first."""

FIRST_CHUNK, CHUNK = 900, 40_000
LOG_LINES = 300


class RunGoneError(RunError):
    """The run's directory was removed."""

    @classmethod
    def of(cls, run: Run) -> RunGoneError:
        """Return the error, with the next step."""
        return cls(f"{run.name} was removed: {run.path} is gone", "`arcterm runs` lists what is there")


@dataclass(frozen=True, kw_only=True)
class Look:
    """The result of one look at a run; with `more` there are events left to read at once.

    `essentials` are for a `Summary` that is up to date: that of the look before, or a new one if it is to be
    made `anew`. `events` are for a compact one: steps have series in float32, and of the reports of a rank
    the newest. `report` is that of a job that is done, `trackers` is as `trackers.describe` gives it.
    `unreadable` counts, by reason, the lines that are no events, as far as events are read.
    """

    essentials: list[tuple[int, AnyEvent]]
    anew: bool
    events: list[tuple[int, AnyEvent | StepBatch]]
    more: bool
    state: State
    stopping: bool
    owner: Owner | None
    log: list[str]
    log_name: str
    report: JobReport | None = None
    trackers: Sequence[dict[str, Any]] = ()
    unreadable: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Reader:
    """Reads a run again and again: its essentials by `refresh`, every event by `events` or `look`.

    With a `curve` the summary's `sampled` values are among the essentials; with `check` every line is
    checked, and ``essentials.corrupt`` counts all that are no events. A look takes at most `limit` events:
    the first one few, so that there is something to see at once. The first essentials may be found
    `ahead`. `rest` is that of a `Follower`.
    """

    run: Run
    limit: int = FIRST_CHUNK
    curve: bool = False
    check: bool = False
    summary: Summary = field(default_factory=Summary)
    ahead: EssentialsAhead | None = None
    rest: Callable[[], object] = bool
    _log: tuple[Path, int, list[str]] | None = None
    _report: JobReport | None = None
    _attempt: int = 0

    def __post_init__(self) -> None:
        self.essentials = Follower(self.run)
        self._follower = Follower(self.run, self.rest)

    def refresh(self) -> Summary:
        """Return the summary of all that is written now, decoding as few events as possible."""
        anew, events = self._essentials()
        self.summary = Summary() if anew else self.summary
        self.summary.feed(events)
        return self.summary

    def _essentials(self) -> tuple[bool, list[tuple[int, AnyEvent]]]:
        ahead, self.ahead = self.ahead, None
        found = ahead.take(self.essentials) if ahead else None
        events = self.essentials.essentials(self.curve, self.check) if found is None else found
        before, self._attempt = self._attempt, events[-1][0] if events else self._attempt
        if anew := 0 < before < self._attempt:  # what the new attempt goes on from may lie far back
            self.essentials = Follower(self.run)
            events = self.essentials.essentials(self.curve, self.check)
        return anew, events

    def events(self) -> Events:
        """Iterate over the events since the last call, decoding each when it is asked for."""
        return self._follower.events()

    def judge(self, state: State) -> State:
        """Return `state`, or ``damaged`` if event files can't be read."""
        damaged = self.essentials.damaged | self._follower.damaged
        if not damaged:
            return state
        reasons = filter(None, (state.reason if state.state == "damaged" else "", *damaged.values()))
        return msgspec.structs.replace(state, state="damaged", reason="; ".join(reasons))

    def look(self) -> Look:
        """Read what is new, and the state as it is now; raises `RunGoneError` if the run was removed."""
        try:
            found = self._look()
        except (ArctermError, OSError) as error:  # files may go while they are read
            if self.run.removed:
                raise RunGoneError.of(self.run) from error
            raise
        if self.run.removed:
            raise RunGoneError.of(self.run)
        return found

    def _look(self) -> Look:
        anew, essentials = self._essentials()
        events, more = self._follower.batches(self.limit, compact=True)
        state = self.judge(read_state(self.run))
        name, log = self._read_log(self.run.attempts())
        self.limit = CHUNK
        return Look(
            anew=anew,
            essentials=essentials,
            events=_newest(events),
            more=more,
            state=state,
            stopping=stop_pending(self.run, state),
            owner=None if state.state == "damaged" else read_owner(self.run),
            log=log,
            log_name=name,
            report=self._read_report(state),
            trackers=trackers.describe(self.run),
            unreadable=dict(self._follower.unreadable),
        )

    def _read_report(self, state: State) -> JobReport | None:
        if state.state == "done" and self._report is None and self.run.record.config.kind == "job":
            self._report = read_report(self.run)
        return self._report

    def _read_log(self, attempt: int) -> tuple[str, list[str]]:
        path = log_path(self.run, attempt)
        if path is None:
            return "", []
        size = path.stat().st_size
        if self._log is None or self._log[:2] != (path, size):
            self._log = (path, size, read_tail(path, LOG_LINES))
        return str(path.relative_to(self.run.path)), self._log[2]


def _newest(events: list[tuple[int, AnyEvent | StepBatch]]) -> list[tuple[int, AnyEvent | StepBatch]]:
    """The `events` without reports of ranks that newer ones replace.

    Whoever looks on has little left to do with them then, in a thread that may have to draw.
    """
    newest = {(attempt, event.rank): id(event) for attempt, event in events if isinstance(event, Rank)}
    kept = set(newest.values())
    return [(attempt, event) for attempt, event in events if not isinstance(event, Rank) or id(event) in kept]


def stop_pending(run: Run, state: State) -> bool:
    """Return whether a live run was asked to stop and has not agreed yet.

    One that waits in an engine's queue has no process that could: a request there is to the attempt before.
    """
    if state.state == "queued" and engines.read(run) is not None:
        return False
    if state.state not in LIVE or not any((run.path / "control").glob("[0-9a-z]*.json")):
        return False
    return any(request.verb == "stop" for _, request in control.pending(run))


def log_path(run: Run, attempt: int) -> Path | None:
    """Return rank 0's log that was written last, else the agent's; None if all are empty."""
    own = [p for p in run.rank_dir(attempt, 0).glob("*.log") if p.stat().st_size]
    if own:
        return max(own, key=lambda p: p.stat().st_mtime_ns)
    agent = run.attempt_dir(attempt) / "agent.log"
    return agent if agent.is_file() and agent.stat().st_size else None
