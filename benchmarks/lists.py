"""How long the console's loop is held up: by the list of many runs, the comparison of five long ones, and a
training with 16 GPUs that writes 1,000 log lines a second.

    python benchmarks/lists.py [--runs 10000] [--steps 100000] [--keep FOLDER]

A task that sleeps 2 ms notes how much later it wakes while runs are read, keys and a filter are typed, and
the list is sorted, in a process that is set up as the console's. `benchmarks/console.py` measures the same
from outside, in a terminal.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Event
from pathlib import Path

from textual.events import Key
from textual.widgets import Input
from writtenruns import made_step, write_run

from arcterm.console.app import Console
from arcterm.console.ending import settle
from arcterm.console.marks import Marks
from arcterm.console.screens.compare import Compare
from arcterm.console.screens.dashboard import Dashboard
from arcterm.console.screens.runs import RunList
from arcterm.console.tabs import COMPARE
from arcterm.runs.events import Gpu, Gpus
from arcterm.runs.store import list_runs

_PATIENCE_SECONDS = 2.0
_FILTER = "lr>=0.05 arcface -tag:x"
_WATCHED_SECONDS = 10
_LOG_LINES, _STEPS_A_SECOND = 1000, 10


class Lag:
    """How late a task wakes, in milliseconds, since `begin`, and how much of that its thread worked."""

    def __init__(self) -> None:
        self.begin()

    async def watch(self) -> None:
        while True:
            before, worked = time.perf_counter(), time.thread_time()
            await asyncio.sleep(0.002)
            late, work = time.perf_counter() - before - 0.002, time.thread_time() - worked
            self._found.append((late * 1000, work * 1000))

    def begin(self) -> None:
        self._found = [(0.0, 0.0)]

    def __str__(self) -> str:
        late, work = (sorted(column) for column in zip(*self._found, strict=True))
        return f"lag p95 {late[len(late) * 95 // 100]:.1f}, most {late[-1]:.1f} ms, {work[-1]:.1f} ms of work"


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


async def measure_busy(root: Path) -> None:
    """Watch a training that writes much, its log, and its log filtered."""
    context = multiprocessing.get_context("spawn")
    ready, over = context.Event(), context.Event()
    writer = context.Process(target=write_busily, args=(root, ready, over))
    writer.start()
    ready.wait(60)
    try:
        app, lag = Console(root, "last"), Lag()
        async with app.run_test(size=(160, 45)) as pilot:
            while not (isinstance(app.screen, Dashboard) and not app.screen.view.loading):
                await pilot.pause(0.01)
            watcher = asyncio.create_task(lag.watch())
            for name, keys in (("dashboard", ""), ("log", "o"), ("log with a filter", "/batch 7\r")):
                lag.begin()
                await pilot.press(
                    *({"/": "slash", " ": "space", "\r": "enter"}.get(key, key) for key in keys)
                )
                await asyncio.sleep(_WATCHED_SECONDS)
                print(f"{_LOG_LINES:,} log lines a second, 16 GPUs, {name}: {lag}")
            watcher.cancel()
    finally:
        over.set()
        writer.join()


def write_busily(root: Path, ready: Event, over: Event) -> None:
    """Write a live training into `root` until it is `over`: log lines, steps, GPUs, four of them slices."""
    run, journal = write_run(root, 20_000, live=True)
    chance, step, began, lines = random.Random(1), 20_000, time.monotonic(), 0
    folder = run.rank_dir(1, 0)
    folder.mkdir(parents=True)
    with (folder / "stderr.log").open("w") as log:
        while not over.wait(0.01):
            passed = time.monotonic() - began
            while lines < passed * _LOG_LINES:
                lines += 1
                log.write(f"loader: decoded batch {lines} of rank 0 in {chance.random():.4f} s\n")
            log.flush()
            while step - 20_000 < passed * _STEPS_A_SECOND:
                step += 1
                journal.write(made_step(step, 200_000, time.time(), chance))
                if step % _STEPS_A_SECOND == 0:
                    journal.write(Gpus(host="gpu01", gpus=[_gpu(index, chance) for index in range(16)]))
            ready.set()
    journal.close()


def _gpu(index: int, chance: random.Random) -> Gpu:
    sliced = index >= 12
    return Gpu(
        index=index,
        name="NVIDIA H200" + " MIG 1g.18gb" * sliced,
        utilisation=None if sliced else round(chance.gauss(90, 5)),
        memory_used=chance.randrange(12 << 30, 16 << 30),
        memory_total=18 << 30 if sliced else 140 << 30,
        temperature=chance.gauss(60, 2),
        power=chance.gauss(500, 20),
        power_limit=700.0,
        clock=1755.0,
    )


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
        settle()
        asyncio.run(measure_list(many))
        asyncio.run(measure_compare(long))
        asyncio.run(measure_busy(Path(temporary) / "busy"))


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
