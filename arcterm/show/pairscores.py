"""Distances of a verification set's pairs, as a ``verify`` job measured them, and orders of pairs by them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.config import JobConfig
from arcterm.errors import ArctermError, DataError
from arcterm.inputs.known import source_of
from arcterm.runs import store
from arcterm.runs.report import read_report
from arcterm.runs.store import Run

Order = Literal["file", "hardest", "nearest", "farthest"]
ORDERS: dict[Order, str] = {
    "file": "in the file's order",
    "hardest": "hardest first",
    "nearest": "nearest first",
    "farthest": "farthest first",
}
Distances = NDArray[np.float64]


class PairScores(msgspec.Struct, frozen=True):
    """The `file` of distances that the job `run` wrote about a `model` at a `step`."""

    file: str
    run: str
    model: str
    step: int


def find(root: Path, source: str) -> PairScores | None:
    """Return the newest scores of the pairs in `source`, a .bin, a folder of sets or a data set; else None.

    Raises `RunError` if `root` can't be read.
    """
    for run in store.list_runs(root):
        record = store.recorded(run)
        config = record.config if record else None
        about = isinstance(config, JobConfig) and config.name == "verify" and _is_about(config, source)
        if about and (found := _scores(run)) is not None:
            return found
    return None


def _is_about(config: JobConfig, source: str) -> bool:
    """Whether a verification scored the sets in `source`; without sets of its own those of the training."""
    sets = config.paths[1:] or ([source_of(config.train)] if config.train is not None else [])
    if source in sets:
        return True
    here, places = Path(source).expanduser().absolute(), [Path(place) for place in sets if place[:1] == "/"]
    return any(here in (place, *place.parents) for place in places)


def _scores(run: Run) -> PairScores | None:
    try:
        report = read_report(run)
    except ArctermError:  # a damaged one is shown as such among the jobs
        return None
    data = report.data if report is not None and isinstance(report.data, dict) else {}
    file = run.path / "verify" / Path(str(data.get("distances", ""))).name  # the run may have been moved
    if not file.is_file():
        return None
    return PairScores(str(file), run.id, str(data.get("model", "")), int(data.get("step") or 0))


def read(file: str) -> dict[str, Distances]:
    """Return the distances of each set by its name, (pairs,) squared L2, 0..4; raises `DataError`."""
    try:
        with np.load(file, allow_pickle=False) as found:
            return {name: np.asarray(found[name], np.float64).ravel() for name in found.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} can't be read: {error}", "run `arcterm verify` again") from None


def arrange(same: NDArray[np.bool_], distances: Distances, order: Order, count: int) -> list[int]:
    """Return the numbers of `count` pairs.

    The hardest are those of one person that are far apart and of two people that are near, in turns.
    """
    near: list[int] = np.argsort(distances, kind="stable").tolist()
    if order == "nearest":
        return near[:count]
    if order == "farthest":
        return near[::-1][:count]
    kinds = [n for n in near[::-1] if same[n]], [n for n in near if not same[n]]
    few = min(map(len, kinds))
    turns = [pair for both in zip(*kinds, strict=False) for pair in both]
    return [*turns, *kinds[0][few:], *kinds[1][few:]][:count]
