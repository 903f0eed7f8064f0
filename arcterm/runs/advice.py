"""The next step after a run has ended, as far as the program knows one."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from arcterm.runs import checkpoints
from arcterm.runs.store import Run
from arcterm.text import duration

if TYPE_CHECKING:
    from arcterm.runs.reading.summary import Summary


class StopCosts(NamedTuple):
    """What each way of stopping a live run costs, in words."""

    softly: str
    now: str


def resuming(run: Run) -> str:
    """Effect of resuming `run`, with the command."""
    command, config = f"`arcterm resume {run.id}`", run.record.config
    if config.kind == "job":
        return f"{command} {'goes on where it was' if config.resumes else 'begins it again'}"
    step = checkpoints.newest_step(run)
    if step is None:
        return f"{command} begins again: nothing was saved yet"
    return f"{command} goes on from step {step:,}"


def cost(run: Run) -> str:
    """Loss of work if `run` ends at once."""
    config = run.record.config
    if config.kind == "job":
        return "what was done is kept" if config.resumes else "nothing of it is kept"
    return "nothing was saved yet" if _saved(run) is None else config.stop_words.at_once


def stopping(run: Run, summary: Summary) -> StopCosts:
    """The cost of stopping `run` now, of which `summary` is known, by each way."""
    config = run.record.config
    words = config.stop_words
    if config.kind == "job":
        return StopCosts(f"{words.softly}: {words.kept}", f"at once: {words.at_once}")
    return StopCosts(f"{words.softly}: {words.kept}; {_saving(summary)}", f"at once: {_losing(run, summary)}")


def _saving(summary: Summary) -> str:
    """How long the save takes, and what comes before it."""
    saved, phase, left = summary.checkpoints, summary.phase, summary.phase_eta()
    verifying = phase is not None and phase.phase == "verify" and phase.done < phase.total and left
    first = f"the verification ends first, in {duration(left)}; " if verifying and left else ""
    if not saved:
        return f"{first}no save was timed yet"
    return f"{first}the save takes {saved[-1].seconds:.1f} s, as at step {saved[-1].step:,}"


def _losing(run: Run, summary: Summary) -> str:
    """Steps lost, and the time they took; a run that was just resumed may not have recorded a step yet."""
    saved = checkpoints.list_checkpoints(run)
    last = saved[-1][1].step if saved else 0
    since = f"the last checkpoint is of step {last:,}" if saved else "no checkpoint exists yet"
    lost_steps = summary.step - last
    if lost_steps < 1:
        return f"what it did since its last checkpoint is lost ({since})" if saved else since
    work = f", {duration(spent)} of work" if (spent := _work_since(summary, last, lost_steps)) else ""
    return f"up to {lost_steps:,} step{'s are' if lost_steps > 1 else ' is'} lost{work} ({since})"


def _work_since(summary: Summary, saved: int, steps: int) -> float | None:
    """Seconds that the steps since a save took: by the clock if this attempt saved it, else at the pace."""
    begun = max((start.t for start in summary.starts.values()), default=0.0)
    at = next((event.t for event in summary.checkpoints if event.step == saved and event.t >= begun), None)
    if at is not None and summary.last_step is not None:
        return max(0.0, summary.last_step.t - at)
    pace = summary.seconds_per_step()
    return None if pace is None else pace * steps


def lost(run: Run, step: int) -> str:
    """Loss of work if `run` has ended after `step` steps without a last checkpoint."""
    if run.record.config.kind == "job":
        return cost(run)
    saved = _saved(run) or 0
    if step <= saved:
        return "nothing is lost"
    return f"step {step:,} is lost" if step == saved + 1 else f"steps {saved + 1:,} to {step:,} are lost"


def again(run: Run, change: str) -> str:
    """Next step for a failure that resuming would repeat: to `change` something in the resume."""
    return f"it would happen again as it is; `arcterm resume {run.id}` {change} {_continues(run)}"


def mended(run: Run) -> str:
    """Next step for a failure that repeats until the code or the data are changed."""
    how = _continues(run)
    return f"it would happen again as it is; once it is mended, `arcterm resume {run.id}` {how}"


def _continues(run: Run) -> str:
    step = _saved(run)
    return "begins again" if step is None else f"continues after step {step:,}"


def _saved(run: Run) -> int | None:
    return checkpoints.newest_step(run) if run.record.config.kind == "training" else None
