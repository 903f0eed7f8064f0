"""Waiting for another run of this box before the ranks are started; without torch."""

from __future__ import annotations

import time
from collections.abc import Callable

from arcterm.errors import RunError
from arcterm.inputs import sources
from arcterm.runs import control, dataset, state
from arcterm.runs.store import Run

_LOOK_SECONDS = 0.5


def wait_for(run: Run, after: Run, *, asked: Callable[[], bool], beat: Callable[[], None]) -> str:
    """Wait until `after` is no longer live, in whatever way it ended; return that in a word.

    Returns nothing if a stop was `asked` for first, by a signal or in ``control/``. `beat` shows that the
    process lives.
    """
    while not (ended := _ended(after)):
        if asked() or any(request.verb == "stop" for _, request in control.pending(run)):
            return ""
        beat()
        time.sleep(_LOOK_SECONDS)
    return ended


def called(run: Run) -> str:
    """A run's name and id; the id alone without a name."""
    return f"{run.name} ({run.id})" if run.name != run.id else run.id


def check_data(run: Run) -> None:
    """Raise `DataError` if a training's data changed while it waited."""
    config, was = run.record.config, dataset.current(run)
    if config.kind != "training" or was is None:
        return
    said = dataset.changed(was, sources.from_config(run.config).inspect())
    if said:
        raise dataset.changed_error(run, said)


def _ended(after: Run) -> str:
    """How a run ended: done, stopped, failed, lost, damaged or removed; empty while it is live."""
    if after.removed:
        return "removed"
    now = state.read_state(after).state
    if now in state.LIVE or (now == "damaged" and _is_held(after)):
        return ""
    return "removed" if after.removed else now


def _is_held(after: Run) -> bool:
    try:
        return state.is_locked(after)
    except RunError:
        return False
