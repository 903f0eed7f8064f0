"""Several trainings of one plan, of a seed each: where each of them runs, and after which other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from arcterm import gpus
from arcterm.config import TrainConfig
from arcterm.errors import ArctermError
from arcterm.launch import start
from arcterm.launch.plan import Plan
from arcterm.overrides import indices
from arcterm.runs import store
from arcterm.runs.state import LIVE, read_state
from arcterm.runs.store import Run


@dataclass(frozen=True)
class QueuePlace:
    """One of several trainings: its name and config, and the number, from 0, of the one that it waits for."""

    name: str
    config: TrainConfig
    after: int | None

    @property
    def title(self) -> str:
        """Its name, or its seed."""
        return self.name or f"seed {self.config.seed}"

    def describe(self, before: Run | None) -> dict[str, Any]:
        """The config as JSON values, with `before`, the run after which the first ones are queued."""
        after = {"after": before.id} if before and self.after is None else {}
        return msgspec.to_builtins(self.config) | after  # type: ignore[no-any-return]


def names(name: str, seeds: Sequence[int]) -> list[str]:
    """The name of the run of each seed: `name` for one, ``NAME-s1`` … for several; empty without a name."""
    return [f"{name}-s{seed}" if name else "" for seed in seeds] if len(seeds) > 1 else [name]


def share_out(
    config: TrainConfig, seeds: Sequence[int], name: str, wanted: str, root: Path
) -> list[QueuePlace]:
    """Give each of several seeds a run: side by side on free GPUs of the `wanted`, disjoint, or in turn.

    They run in turn on the CPU, and where there is no room for two of them. Another engine than this machine
    gets all of them at once, and has a queue of its own.
    """
    if len(seeds) < 2:
        return [QueuePlace(name, config, None)]
    if not config.is_local:
        made = [msgspec.structs.replace(config, seed=seed) for seed in seeds]
        return [QueuePlace(called, one, None) for called, one in zip(names(name, seeds), made, strict=True)]
    free = free_gpus(config, wanted, root)
    count = len(free) // config.ranks_each if config.gpus else 0
    lanes = [free[lane * config.ranks_each :][: config.ranks_each] for lane in range(min(count, len(seeds)))]
    lanes = lanes or [config.gpus]
    return [
        QueuePlace(
            name=called,
            config=msgspec.structs.replace(config, seed=seed, gpus=lanes[number % len(lanes)]),
            after=number - len(lanes) if number >= len(lanes) else None,
        )
        for number, (seed, called) in enumerate(zip(seeds, names(name, seeds), strict=True))
    ]


def free_gpus(config: TrainConfig, wanted: str, root: Path) -> list[int]:
    """GPUs, of the `wanted` or of all, on which no process computes and no live run of `root` is to work."""
    if not config.gpus:
        return []
    taken = {
        index
        for run in store.list_runs(root)
        if read_state(run).state in LIVE and (record := store.recorded(run)) and not record.config.is_remote
        for index in record.config.gpus
    }
    there = gpus.select(indices(wanted, "gpus"))
    return [index for index in there if index not in taken and not gpus.processes(index)]


def lines(places: Sequence[QueuePlace], after: Run | None) -> list[str]:
    """Lines of the plan: where each run works, and after which one; none of one that waits for nothing."""
    if len(places) == 1 and after is None:
        return []
    said = []
    for place in places:
        here = f"on GPU {', '.join(map(str, place.config.gpus))}" if place.config.gpus else "on the CPU"
        where = here if place.config.is_local else f"at {place.config.launcher}"
        first = f" after {after.name}, which is {read_state(after).state}" if after else ""
        waits = f" after {places[place.after].title}" if place.after is not None else first
        said.append(f"queue     {place.title} {where}{waits}")
    return said


def start_all(
    plan: Plan, places: Sequence[QueuePlace], root: Path, argv: Sequence[str], after: Run | None
) -> list[Run]:
    """Make and start a run for each place; those that wait are queued. Raises as `start` does."""
    runs: list[Run] = []
    for place in places:
        before = runs[place.after] if place.after is not None else after
        made = replace(plan, config=place.config)
        try:
            runs.append(start.start(made, root, name=place.name, argv=argv, after=before))
        except ArctermError as error:
            if runs:
                error.hint += f"; {', '.join(run.name for run in runs)} were started and go on"
            raise
    return runs
