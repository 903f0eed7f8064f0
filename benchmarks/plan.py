"""What `arcterm plan` says of trainings on this machine against those: a step, a checkpoint, memory.

python benchmarks/plan.py [BACKBONE,CLASSES,BATCH:RANKS …] [--rounds 3] [--steps 60] [--json FILE]

In each round every case is planned, with all constants measured anew, and trained at once; the table has the
medians of the rounds, and of the ratios within one. A step is measured in seconds that the ranks' processes
were computing, by the cores that they have, as the plan's are: what it takes where nothing else runs. On a
machine that has other work the clock shows more. A checkpoint is one that steps wait for, by the clock: the
median of those of a training that saves after each step, once old ones are removed, whose memory they get.
After a pause it would fill memory that a virtual machine has given back to its host, and take up to twice as
long.
"""

from __future__ import annotations

import argparse
import bisect
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from arcterm.runs.events import Checkpoint, Event, Step
from arcterm.runs.reader import Reader
from arcterm.runs.store import Run

CASES = [f"{case}:{ranks}" for case in ("tiny,100000,32", "r18,1000,4") for ranks in (1, 2, 4)]
_WARM = 5
_KEPT, _SAVES = 2, 8


def words(case: str) -> list[str]:
    """The settings of a case, as both commands take them."""
    (backbone, classes, batch), ranks = case.partition(":")[0].split(","), case.partition(":")[2]
    return [
        *(backbone, "arcface", "--dataset", "synthetic", "--set", f"dataset.classes={classes}"),
        *("--set", "dataset.images=100000", "--batch-size", batch, "--nproc", ranks, "--gpus", "none"),
        *("--set", "checkpoint_background=no", "--set", f"keep_last={_KEPT}", "--set", "keep_best=0"),
    ]


def planned(case: str) -> dict[str, float]:
    """Seconds of a step and a checkpoint, and bytes of a rank, by the plan."""
    command = [sys.executable, "-m", "arcterm", "plan", *words(case), "--measure", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)
    parts = {f"step {name}": seconds for name, seconds in found["step"].items() if seconds is not None}
    return {
        **parts,
        "step": found["step"]["total"],
        "checkpoint": found["saving"]["seconds"],
        "memory": found["need"]["total"],
    }


class Training(NamedTuple):
    """The events of a training, bytes of its largest rank, and (time, seconds that ranks have computed)."""

    events: list[Event]
    memory: int
    busy: list[tuple[float, float]]


def trained(case: str, steps: int, runs: str) -> dict[str, float]:
    """The same of a training of `steps`, and of a short one that saves after each step."""
    stepping = _train(case, runs, "stepping", "--steps", str(steps))
    saving = _train(case, runs, "saving", "--steps", str(_SAVES), "--set", "checkpoint_every=1")
    times = [event.t for event in stepping.events if isinstance(event, Step)][_WARM:]
    saved = [event.seconds for event in saving.events if isinstance(event, Checkpoint)]
    between = [b - a for a, b in itertools.pairwise(times)]
    clock = [t for t, _ in stepping.busy]
    begun, ended = (stepping.busy[bisect.bisect(clock, t) - 1][1] for t in (times[0], times[-1]))
    cores = min(int(case.partition(":")[2]), len(os.sched_getaffinity(0)))
    return {
        "step": (ended - begun) / len(between) / cores,
        "by the clock": statistics.median(between),
        "checkpoint": statistics.median(saved[_KEPT + 1 :]),
        "memory": max(stepping.memory, saving.memory),
    }


def _train(case: str, runs: str, name: str, *more: str) -> Training:
    """Train, and look at the ranks meanwhile."""
    folder = f"{runs}/{name}"
    command = [sys.executable, "-m", "arcterm", "train", *words(case), *more, "--runs-dir", folder, "--plain"]
    most, busy = 0, [(0.0, 0.0)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            ranks = list(_ranks(folder))
            most = max([most, *(_high_water(rank) for rank in ranks)])
            busy.append((time.time(), sum(_busy(rank, len(ranks)) for rank in ranks)))
            time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    (path,) = [place for place in Path(folder).iterdir() if place.is_dir()]
    return Training([event for _, event in Reader(Run(path)).events()], most, busy)


def _ranks(runs: str) -> Iterator[Path]:
    """Find the ranks' folders in /proc."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "arcterm.processes.rank" in command and any(word.startswith(runs) for word in command):
            yield folder


def _high_water(folder: Path) -> int:
    """The most bytes that a rank was resident with."""
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


def _busy(folder: Path, ranks: int) -> float:
    """Seconds that a rank's process was computing; of one alone its first thread, beside which others do."""
    path = folder / "stat" if ranks > 1 else folder / "task" / folder.name / "stat"
    try:
        fields = path.read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def table(rounds: dict[str, list[tuple[dict[str, float], dict[str, float]]]]) -> list[str]:
    """Rows of Markdown."""
    lines = [
        "| training | ranks | step, planned | measured | ratio | by the clock | checkpoint | ratio | memory "
        "| ratio |",
        f"|{'---|' * 10}",
    ]
    for case, pairs in rounds.items():
        (backbone, classes, batch), ranks = case.partition(":")[0].split(","), case.partition(":")[2]
        cells = [f"{backbone}, {int(classes):,} classes, batch {batch}", ranks]
        for what, unit, scale in (("step", "ms", 1e3), ("checkpoint", "ms", 1e3), ("memory", "MiB", 2**-20)):
            plan = statistics.median(pair[0][what] for pair in pairs) * scale
            real = statistics.median(pair[1][what] for pair in pairs) * scale
            ratio = statistics.median(pair[0][what] / pair[1][what] for pair in pairs)
            cells += [f"{plan:,.0f} {unit}"] if what == "step" else []
            cells += [f"{real:,.0f} {unit}", f"{ratio:.2f}"]
            if what == "step":
                cells.append(
                    f"{statistics.median(pair[1]['by the clock'] for pair in pairs) * scale:,.0f} ms"
                )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print a line for each training, then the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument(
        "--json", type=Path, help="where to keep what was measured, to which a later call adds"
    )
    asked = parser.parse_args()
    found: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {}
    if asked.json and asked.json.exists():
        found = json.loads(asked.json.read_text())
    for number in range(asked.rounds):
        for case in asked.cases:
            with tempfile.TemporaryDirectory(prefix="arcterm-plan-") as runs:
                pair = planned(case), trained(case, asked.steps, runs)
            found.setdefault(case, []).append(pair)
            ratio = pair[0]["step"] / pair[1]["step"]
            print(f"round {number + 1}, {case}: {pair[0]['step']:.3f} s planned, {ratio:.2f}", flush=True)
            if asked.json:
                asked.json.write_text(json.dumps(found))
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
