"""Watching several runs of one plan, one after another, and what came of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from arcterm.cli.runs.watch import RunFailedError, watch
from arcterm.errors import ArctermError
from arcterm.launch import start
from arcterm.runs.describe import describe
from arcterm.runs.reader import Reader
from arcterm.runs.state import LIVE, read_state
from arcterm.runs.store import Run
from arcterm.show.output import put, put_json, say, table


def watch_all(runs: Sequence[Run], *, plain: bool, as_json: bool) -> None:
    """Follow each of `runs` to its end; raises the first `RunFailedError` when all have ended.

    Ctrl-C stops the run that is shown, and then those that remain.
    """
    failures: list[ArctermError] = []
    for number, run in enumerate(runs):
        try:
            watch(run, plain=plain, as_json=False, owner=True, talk=as_json)
        except RunFailedError as error:
            say(f"{error.message}; {error.hint}" if error.hint else error.message)
            failures.append(error)
            if error.interrupted:
                _stop(runs[number + 1 :])
    described = [describe(Reader(run, check=True)) for run in runs if not run.removed]
    if as_json:
        put_json(described)
    else:
        put(*scores(described))
    if failures:
        raise failures[0]


def _stop(runs: Sequence[Run]) -> None:
    """Ask the runs that still live to stop."""
    for run in runs:
        if not run.removed and read_state(run).state in LIVE:
            say(start.stop(run))


def scores(described: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of a table: the last accuracy on each verification set, a row a run, and mean ± deviation.

    The deviation is that of a sample, over n - 1. Runs that are not done are not counted.
    """
    sets = list(dict.fromkeys(name for run in described for name in run["verification"]))
    rows = [
        [run["name"] or run["id"], _seed(run), run["state"], *_accuracies(run, sets)] for run in described
    ]
    counted = [run for run in described if run["state"] == "done"]
    if len(counted) > 1 and sets:
        rows.append([f"mean of {len(counted)}", "", "", *(_mean(counted, name) for name in sets)])
    return table(["RUN", "SEED", "STATE", *sets], rows, right=frozenset({1}))


def _seed(run: dict[str, Any]) -> str:
    return str(run["config"]["seed"]) if run["config"] else ""


def _accuracies(run: dict[str, Any], sets: Sequence[str]) -> list[str]:
    found = [run["verification"].get(name, {}).get("accuracy") for name in sets]
    return ["–" if accuracy is None else f"{accuracy:.4f}" for accuracy in found]


def _mean(counted: Sequence[dict[str, Any]], name: str) -> str:
    found = [run["verification"].get(name, {}).get("accuracy") for run in counted]
    known = [accuracy for accuracy in found if accuracy is not None]
    if len(known) < 2:
        return "–"
    return f"{statistics.mean(known):.4f} ± {statistics.stdev(known):.4f}"
