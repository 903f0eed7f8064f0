"""Uses of runs: what a command needs of the run that it takes for ``last``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arcterm.errors import RunError
from arcterm.runs import checkpoints
from arcterm.runs.state import LIVE, State, read_state
from arcterm.runs.store import Run


@dataclass(frozen=True)
class Use:
    """A kind of runs: its name, and whether a readable run is of it."""

    what: str
    fits: Callable[[Run, State], bool]

    def newest(self, root: Path, runs: list[Run]) -> Run:
        """The first of `runs` that fits, none of those that are damaged; `RunError` says what there is."""
        there: Counter[str] = Counter()
        for run in runs:
            state = read_state(run)
            if state.state == "damaged":
                there["damaged run"] += 1
            elif self.fits(run, state):
                return run
            else:
                there[f"{state.state} {run.record.config.kind}"] += 1
        found = ", ".join(_count(count, what) for what, count in there.items())
        raise RunError(f"there is no {self.what} in {root}, only {found}", "`arcterm runs` lists the runs")


def _count(count: int, what: str) -> str:
    """``1 done training``, ``2 done jobs``."""
    return f"{count} {what}{'s' * (count != 1)}"


def _trained(run: Run, state: State) -> bool:
    return run.record.config.kind == "training" and bool(checkpoints.list_checkpoints(run))


def _resumable(run: Run, state: State) -> bool:
    ended = state.state in ("stopped", "failed", "lost")
    return ended and run.record.config.resumes and run.record.log is None


def _longer(run: Run, state: State) -> bool:
    ours = run.record.config.kind == "training" and run.record.log is None
    return ours and (state.state == "done" or _resumable(run, state))


WATCHED = Use("run that can be watched", lambda run, state: True)
LIVING = Use("live run", lambda run, state: state.state in LIVE)
RESUMABLE = Use("stopped, failed or lost training or job", _resumable)
LONGER = Use("training that is over", _longer)
"""Fit for more steps or epochs, as one is that is done."""
TRAINED = Use("training with a checkpoint", _trained)
