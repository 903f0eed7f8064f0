"""Time and memory of looking at long runs, against decoding every event; processes, interleaved, medians.

python benchmarks/reading.py [--rounds 7] [--steps 1000000]

The runs are written by the journal that trainings write by: a step of 290 bytes ten times a second, every
second what each of two ranks uses, every 2,000 steps a verification of three sets and a checkpoint.
"""

from __future__ import annotations

import argparse
import os
import platform
import pty
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from writtenruns import write_run

RUNS, COMMAND = 5, [sys.executable, "-m", "arcterm"]
EVERY_EVENT = """
import pathlib, sys
from arcterm.runs.reading.summary import Summary
from arcterm.runs.reading.follow import Follower
from arcterm.runs.store import list_runs
for run in list_runs(pathlib.Path(sys.argv[1])):
    Summary().feed(Follower(run).poll())
"""
DASHBOARD = """
import asyncio, pathlib, sys
from arcterm.console.app import Console
def shown(view):
    return not view.loading if ALL else view.step > 0
async def main():
    app = Console(pathlib.Path(sys.argv[1]), "last")
    async with app.run_test(size=(120, 40)) as pilot:
        while app.is_running and not (hasattr(app.screen, "view") and shown(app.screen.view)):
            await pilot.pause(0.01)
asyncio.run(main())
"""


class Spent(NamedTuple):
    """What a process took: CPU and wall seconds, and its largest resident size in MB."""

    cpu: float
    wall: float
    memory: float


def measure(command: list[str], terminal: bool) -> Spent:
    """Run a command to its end, in a terminal of its own or with its output thrown away."""
    main, side = pty.openpty()
    began = time.monotonic()
    out = side if terminal else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | {"TERM": "xterm-256color"})
    os.close(side)
    try:
        while terminal and os.read(main, 1 << 16):
            pass
    except OSError:  # it has closed its terminal
        pass
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    os.close(main)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return Spent(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="write the runs here, or use those that are there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = given.keep or Path(temporary)
        many, one = root / "many", root / "one"
        for folder, count in ((many, RUNS), (one, 1)):
            for _ in range(0 if folder.exists() else count):
                write_run(folder, given.steps // count)
        spent = _measure_all(many, one, given.rounds)
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    print(f"{os.cpu_count()} cores, {model.partition(': ')[2]}, Python {platform.python_version()}\n")
    print("| | CPU s | wall s | MB | CPU, × every event |\n|---|---|---|---|---|")
    for (what, folder), rounds in spent.items():
        cpu, wall, memory = (statistics.median(numbers) for numbers in zip(*rounds, strict=True))
        every = spent["every event", folder]
        ratio = statistics.median(r.cpu / e.cpu for r, e in zip(rounds, every, strict=True))
        label = (
            f"{what}, {RUNS} × {given.steps // RUNS:,} steps"
            if folder == many
            else f"{what}, {given.steps:,} steps"
        )
        print(f"| {label} | {cpu:.2f} | {wall:.2f} | {memory:.0f} | {ratio:.3f} |")


def _measure_all(many: Path, one: Path, rounds: int) -> dict[tuple[str, Path], list[Spent]]:
    """Each case once a round, in an order of its own, after a round that is thrown away."""
    python = [sys.executable, "-c"]
    in_many, in_one = ["--runs-dir", str(many)], ["--runs-dir", str(one)]
    cases = {
        ("every event", many): [*python, EVERY_EVENT, str(many)],
        ("`arcterm runs`", many): [*COMMAND, "runs", *in_many],
        ("`arcterm runs --json`", many): [*COMMAND, "runs", "--json", *in_many],
        ("every event", one): [*python, EVERY_EVENT, str(one)],
        ("`arcterm show`", one): [*COMMAND, "show", *in_one],
        ("`arcterm show --json`", one): [*COMMAND, "show", "--json", *in_one],
        ("`arcterm attach`, drawn", one): [*COMMAND, "attach", *in_one],
        ("`arcterm attach --plain`", one): [*COMMAND, "attach", "--plain", *in_one],
        ("dashboard, first picture", one): [*python, f"ALL = False\n{DASHBOARD}", str(one)],
        ("dashboard, all read", one): [*python, f"ALL = True\n{DASHBOARD}", str(one)],
    }
    spent: dict[tuple[str, Path], list[Spent]] = {case: [] for case in cases}
    for round_ in range(rounds + 1):
        for case, command in random.sample(list(cases.items()), len(cases)):
            found = measure(command, terminal="drawn" in case[0])
            if round_:
                spent[case].append(found)
    return spent


if __name__ == "__main__":
    main()
