"""The list of many runs and the comparison of five long ones: how long the console's loop is held up.

    python benchmarks/lists.py [--runs 10000] [--steps 100000] [--keep FOLDER]

A task that sleeps 2 ms notes how much later it wakes while runs are read, keys and a filter are typed, and
the list is sorted. `benchmarks/console.py` measures the same from outside, in a terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from textual.events import Key
from textual.widgets import Input
from writtenruns import write_run

from arcterm.console.app import Console
from arcterm.console.marks import Marks
from arcterm.console.screens.compare import Compare
from arcterm.console.screens.runs import RunList
from arcterm.console.tabs import COMPARE
from arcterm.runs.store import list_runs

_PATIENCE_SECONDS = 2.0
_FILTER = "lr>=0.05 arcface -tag:x"


class Lag:
    """How late a task wakes, in milliseconds, since `begin`."""

    def __init__(self) -> None:
        self._found = [0.0]

    async def watch(self) -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.002)
            self._found.append((time.perf_counter() - before - 0.002) * 1000)

    def begin(self) -> None:
        self._found = [0.0]

    def __str__(self) -> str:
        ordered = sorted(self._found)
        return f"lag p95 {ordered[len(ordered) * 95 // 100]:.1f}, most {ordered[-1]:.1f} ms"


async def timed(app: Console, keys: Sequence[str], seen: Callable[[], object]) -> str:
    """Type keys with a pause after each; return how long it took until each had changed what is `seen`."""
    spent = []
    for key in keys:
        before, began = seen(), time.perf_counter()
        app.post_message(Key(key, key if len(key) == 1 else None))
        while seen() == before and time.perf_counter() - began < _PATIENCE_SECONDS:  # the end of the list
            await asyncio.sleep(0.0005)
        spent.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.03)
    return f"median {statistics.median(spent):.1f}, most {max(spent):.1f} ms"


async def measure_list(root: Path) -> None:
    """Open the list and use it."""
    app, lag, began = Console(root), Lag(), time.perf_counter()
    async with app.run_test(size=(120, 40)) as pilot:
        watcher = asyncio.create_task(lag.watch())
        screen = app.screen
        assert isinstance(screen, RunList)
        while not any(run.known for run in screen.shown):
            await asyncio.sleep(0.002)
        print(f"first rows of {len(screen.shown):,}: {(time.perf_counter() - began) * 1000:.0f} ms")
        lag.begin()

        def cursor() -> object:
            return screen.chosen and screen.chosen.run.id

        print(f"keys while runs are read: {await timed(app, ['j'] * 20, cursor)}")
        while not all(run.known for run in screen.shown):
            await asyncio.sleep(0.02)
        print(f"all read: {time.perf_counter() - began:.1f} s, {lag}")
        lag.begin()
        print(f"keys: {await timed(app, ['j', 'pagedown'] * 15, cursor)}")
        await pilot.press("slash")
        field = screen.query_one("#filter", Input)
        print(f"a filter: {await timed(app, _FILTER, lambda: field.value)}")
        await pilot.press("enter")
        print(f"sorting: {await timed(app, ['full_stop'] * 10, lambda: screen._order)}; {lag}")
        await asyncio.sleep(3)
        watcher.cancel()
        before = time.process_time()
        await asyncio.sleep(10)
        print(f"idle: {(time.process_time() - before) * 10:.2f} % of a core")


async def measure_compare(root: Path) -> None:
    """Compare all runs of `root`."""
    marks = Marks(root)
    for run in list_runs(root):
        marks.toggle(run.id)
    app, lag = Console(root), Lag()
    async with app.run_test(size=(160, 45)) as pilot:
        while not app.screen.is_mounted:
            await pilot.pause(0.01)
        watcher, began, used = asyncio.create_task(lag.watch()), time.perf_counter(), time.process_time()
        app.go(COMPARE)
        screen = app.screen
        while not (isinstance(screen, Compare) and screen.items and not any(i.loading for i in screen.items)):
            await asyncio.sleep(0.005)
            screen = app.screen
        spent = f"{time.perf_counter() - began:.2f} s, {time.process_time() - used:.2f} s of CPU"
        print(f"{len(screen.items)} runs compared: {spent}, {lag}")
        watcher.cancel()


def main() -> None:
    """Write the runs and measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="write the runs here, or use those that are there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["ARCTERM_STATE"] = temporary
        folder = given.keep or Path(temporary)
        many, long = folder / f"list-{given.runs}", folder / f"compare-{given.steps}"
        write_many(many, given.runs)
        while len(list_runs(long)) < 5:
            write_run(long, given.steps)
        asyncio.run(measure_list(many))
        asyncio.run(measure_compare(long))


def write_many(root: Path, count: int) -> None:
    """Fill `root` with so many runs of 20 steps: one is written, the others are links to its files."""
    root.mkdir(parents=True, exist_ok=True)
    made = list_runs(root) or [write_run(root, 20)[0]]
    there = {run.id for run in made}
    source = made[-1].path
    for number in range(count):
        name = f"{20250101 + number // 86400}T{_clock(number)}Z-r50-arcface-{number % 65536:04x}"
        if len(there) >= count:
            break
        if name not in there:
            there.add(name)
            _link(source, root / name)


def _clock(second: int) -> str:
    return f"{second // 3600 % 24:02d}{second // 60 % 60:02d}{second % 60:02d}"


def _link(source: Path, place: Path) -> None:
    for folder, _, files in os.walk(source):
        below = place / Path(folder).relative_to(source)
        below.mkdir()
        for file in files:
            os.link(Path(folder) / file, below / file)


if __name__ == "__main__":
    main()
