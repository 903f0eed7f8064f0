"""``arcterm prune``: old checkpoints are removed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcterm.cli import completing
from arcterm.cli.options import Json, RunsDir, Yes, confirm
from arcterm.errors import DataError, RunError
from arcterm.show.output import put, put_json, say
from arcterm.text import byte_size

if TYPE_CHECKING:
    from arcterm.runs.store import Run


def prune(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Ids, names or paths of runs; all that are not live without one.",
            show_default=False,
            autocompletion=completing.runs,
        ),
    ] = None,
    keep_last: Annotated[int, typer.Option("--keep-last", min=1, help="Newest checkpoints to keep.")] = 1,
    keep_best: Annotated[int, typer.Option("--keep-best", min=0, help="Best checkpoints to keep.")] = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    yes: Yes = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Remove old checkpoints, and damaged ones that were set aside; those kept are whole."""
    from arcterm.runs import store

    root = store.runs_dir(runs_dir)
    runs = [store.find(root, name) for name in names] if names else store.list_runs(root)
    if not names:
        runs = [run for run in runs if not _is_busy(run) and not _is_damaged(run)]
    found = [(run, doomed) for run in runs if (doomed := _doomed(run, keep_last, keep_best))]
    total = sum(size for _, doomed in found for size in doomed.values())
    verb = "would free" if dry_run else "freed"
    if not as_json:
        for run, doomed in found:
            say(f"{run.name}: {', '.join(path.name for path in doomed)}")
    if found and not dry_run:
        confirm(f"remove these checkpoints, {byte_size(total)}?", yes)
    for run, doomed in found if not dry_run else []:
        _remove(run, list(doomed))
    if as_json:
        put_json({"dry_run": dry_run, "bytes": total, "runs": [_told(run, doomed) for run, doomed in found]})
    else:
        put(f"{verb} {byte_size(total)}" if found else "nothing to remove")


def _doomed(run: Run, keep_last: int, keep_best: int) -> dict[Path, int]:
    """What goes of a run, and its bytes; raises `RunError` if the run is live or can't be read."""
    from arcterm.runs import checkpoints, space, state

    if _is_busy(run):
        step = f"`arcterm stop {run.id}` first; while it runs it keeps as many as keep_last and keep_best say"
        raise RunError(f"{run.name} is being run", step)
    state.check_whole(run)
    doomed = [*checkpoints.superfluous(run, keep_last, keep_best), *checkpoints.set_aside(run)]
    return {path: space.used_bytes(path) for path in doomed}


def _is_busy(run: Run) -> bool:
    from arcterm.runs.state import LIVE, is_locked, read_state

    return read_state(run).state in LIVE or is_locked(run)


def _is_damaged(run: Run) -> bool:
    from arcterm.runs.state import read_state

    return read_state(run).state == "damaged"


def _remove(run: Run, doomed: list[Path]) -> None:
    """Delete checkpoints under the run's lock, so that no attempt begins from one of them."""
    from arcterm.runs import checkpoints, state

    with state.lock(run):
        checkpoints.sweep(run)
        for path in doomed:
            try:
                checkpoints.discard(path)
            except OSError as error:
                raise DataError(
                    f"can't remove {path}: {error.strerror}", "look at its owner and mode"
                ) from None


def _told(run: Run, doomed: dict[Path, int]) -> dict[str, Any]:
    return {"id": run.id, "removed": [path.name for path in doomed], "bytes": sum(doomed.values())}
