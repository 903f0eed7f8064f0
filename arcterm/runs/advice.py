"""The next step after a run has ended, as far as the program knows one."""

from __future__ import annotations

from arcterm.runs import checkpoints
from arcterm.runs.store import Run


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
