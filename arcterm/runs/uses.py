"""What a command can use of the runs: the newest such run is what it takes ``last`` for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arcterm.config import TrainConfig, VerifyConfig
from arcterm.errors import RunError
from arcterm.runs import checkpoints
from arcterm.runs.state import LIVE, State, read_state
from arcterm.runs.store import KINDS, Run


@dataclass(frozen=True)
class Use:
    """A kind of runs: in words, and whether a run that can be read is of it."""

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
                there[f"{state.state} {KINDS[type(run.record.config)]}"] += 1
        found = ", ".join(_counted(count, what) for what, count in there.items())
        raise RunError(f"there is no {self.what} in {root}, only {found}", "`arcterm runs` lists the runs")


def _counted(count: int, what: str) -> str:
    """``1 done training``, ``2 done jobs on data``."""
    if count == 1:
        return f"1 {what}"
    return f"{count} {what.replace('job', 'jobs') if 'job' in what else f'{what}s'}"


def _trained(run: Run, state: State) -> bool:
    return isinstance(run.record.config, TrainConfig) and bool(checkpoints.list_checkpoints(run))


def _resumable(run: Run, state: State) -> bool:
    over = state.state in ("stopped", "failed", "lost")
    return over and not isinstance(run.record.config, VerifyConfig)


WATCHED = Use("run that can be watched", lambda run, state: True)
LIVING = Use("live run", lambda run, state: state.state in LIVE)
RESUMABLE = Use("stopped, failed or lost training or job", _resumable)
TRAINED = Use("training with a checkpoint", _trained)
