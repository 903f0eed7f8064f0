"""`megaface score` beside plain float32 matrix products, and beside a loop of matrix-vector products.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/megaface.py [--full] [--rounds 3] [--folder F] [--write]

3,530 probes of 80 people among 250,000 distractors of 512 numbers, or with --full 1,000,000, whose file of
2 GB is made in --folder and removed at the end. "score" is all that `arcterm megaface score` computes of one
kind of features once names are read: the check of every row, the pass, galleries of ten times the size each,
ranks, thresholds, curves. "matmul" is NumPy's product of the same matrices into one buffer, in blocks of the
best of some sizes in that round. "vectors" is a matrix-vector product for each of some probes, times all, by
NumPy and by torch. All run by turns in one process; a ratio is the median of those within a round. "CPU" is
processor time, which other work on the machine changes less. Memory is what the process grew by during the
first "score", and the largest amount of it that no file is behind. `--write` puts the table between the marks
in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.megaface.scoring.faults import FaultList
from arcterm.megaface.scoring.inputs import FeatureReader
from arcterm.megaface.scoring.lists import Order, ProbeList, Stop
from arcterm.megaface.scoring.passes import Scorer
from arcterm.megaface.scoring.sources import Sources
from arcterm.megaface.store import Facts, SetFacts, write_facts, write_names
from arcterm.runs.context import JobContext
from arcterm.train.world import World

RESULTS = Path(__file__).with_name("RESULTS.md")
MARKS = "<!-- megaface -->\n", "<!-- /megaface -->\n"
PROBES, PEOPLE, WIDTH = 3530, 80, 512
BLOCKS = (512, 2048, 8192)
VECTORS = 8
MIB = 1 << 20

Floats = NDArray[np.float32]


class Quiet:
    """A job that nobody watches."""

    def __init__(self, folder: Path) -> None:
        self.work = folder

    def progress(self, done: int, total: int, what: str, detail: str = "") -> bool:
        return False

    def agree(self) -> None:
        pass


def unit(rows: Floats) -> Floats:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def write_features(folder: Path, count: int) -> None:
    """Features of people whose images have a cosine of about 0.5, and of distractors."""
    random = np.random.default_rng(0)
    centers = unit(random.standard_normal((PEOPLE, WIDTH), dtype=np.float32))
    spread = unit(random.standard_normal((PROBES, WIDTH), dtype=np.float32))
    np.save(folder / "facescrub.npy", unit(centers[np.arange(PROBES) % PEOPLE] + spread))
    matrix = np.lib.format.open_memmap(folder / "megaface.npy", "w+", np.float32, (count, WIDTH))
    for start in range(0, count, 10_000):
        rows = random.standard_normal((min(10_000, count - start), WIDTH), dtype=np.float32)
        matrix[start : start + len(rows)] = unit(rows)
    matrix.flush()
    write_names(folder, "facescrub", [f"P_{n % PEOPLE}/{n}.png" for n in range(PROBES)])
    write_names(folder, "megaface", [f"{n % 999:03}/{n // 9}@N00/{n}.jpg" for n in range(count)])
    sets = {"facescrub": SetFacts(count=PROBES), "megaface": SetFacts(count=count)}
    write_facts(folder, Facts(algo="made", width=WIDTH, sets=sets))


class Opened(NamedTuple):
    """Features and lists, before anything is read of their rows."""

    sources: Sources
    probes: ProbeList
    order: Order


def open_all(folder: Path, count: int) -> Opened:
    """Open the features; the lists have their names in the same order."""
    sources = Sources(str(folder), "", "")
    sizes = [10**power for power in range(1, 8) if 10**power < count]
    names = sources.features.require("megaface").names
    order = Order(names, [Stop(size, size, 1) for size in (*sizes, count)], [])
    return Opened(
        sources, ProbeList(sources.features.require("facescrub").names, np.arange(PROBES) % PEOPLE), order
    )


def score(opened: Opened, folder: Path) -> float:
    """Check and score the features; returns rank-1."""
    context, ranks = cast(JobContext, Quiet(folder)), World()
    reader = FeatureReader(context, ranks, opened.probes, [opened.order], FaultList(allow_missing=False))
    (variant,) = reader.read(opened.sources)
    return Scorer(context, ranks, [variant]).score(variant).scores[-1].identification.cmc.rate(1)


class Memory:
    """The largest growth of this process until it is asked: of all memory, and of what no file is behind."""

    def __init__(self) -> None:
        self._peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        self._before = self.largest = anonymous()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.largest = max(self.largest, anonymous())

    def growth(self) -> tuple[float, float]:
        """MiB."""
        self._over.set()
        self._thread.join()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        return (peak - self._peak) / MIB, (self.largest - self._before) / MIB


def anonymous() -> int:
    """Bytes in memory that no file is behind."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) << 10


def multiply(probes: Floats, gallery: Floats, width: int) -> None:
    """All products, block by block into the same memory."""
    out = np.zeros(len(probes) * width, np.float32)
    for start in range(0, len(gallery), width):
        block = gallery[start : start + width]
        np.dot(probes, block.T, out=out[: len(probes) * len(block)].reshape(len(probes), len(block)))


def fastest(probes: Floats, gallery: Floats) -> int:
    """The size of block with which products are the fastest here and now."""
    some = gallery[: 2 * max(BLOCKS)]
    return min(
        BLOCKS, key=lambda width: min(timed(lambda: multiply(probes, some, width)) for _ in range(2))[1]
    )


class Taken(NamedTuple):
    """Seconds, by the clock and of the processor."""

    clock: float
    processor: float


def timed(work: Callable[[], object]) -> Taken:
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - clock, time.process_time() - processor)


def looped(probes: Floats, product: Callable[[Floats], object]) -> Taken:
    """What a loop over all probes takes, by some of them."""
    some = timed(lambda: [product(probe) for probe in probes[:VECTORS]])
    return Taken(*(seconds * PROBES / VECTORS for seconds in some))


def ratios(rounds: list[dict[str, Taken]], way: str) -> tuple[float, float]:
    """Medians over the rounds of how many times as long as `score` a way takes."""
    found = [[one[way][n] / one["score"][n] for one in rounds] for n in (0, 1)]
    return statistics.median(found[0]), statistics.median(found[1])


def measure(folder: Path, count: int, rounds: int) -> str:
    write_features(folder, count)
    probes = np.load(folder / "facescrub.npy")
    gallery: Any = np.load(folder / "megaface.npy", mmap_mode="c").view(np.ndarray)
    columns = torch.from_numpy(gallery)
    torch.set_num_threads(1)
    gallery.sum(dtype=np.float64)  # the file is in memory, and counted as mapped, from here on
    opened = open_all(folder, count)
    taken: list[dict[str, Taken]] = []
    grown = (0.0, 0.0)
    for number in range(rounds):
        memory = Memory()
        one = {"score": timed(partial(score, opened, folder))}
        if number == 0:
            grown = memory.growth()
        width = fastest(probes, gallery)
        one["matmul"] = timed(partial(multiply, probes, gallery, width))
        one["vectors, NumPy"] = looped(probes, lambda probe: gallery @ probe)
        one["vectors, torch"] = looped(probes, lambda probe: columns @ torch.from_numpy(probe))
        taken.append(one)
    return table(taken, count, grown)


def table(taken: list[dict[str, Taken]], count: int, grown: tuple[float, float]) -> str:
    lines = ["| | s | CPU s | × score | × score, CPU |", "|---|---|---|---|---|"]
    for way in taken[0]:
        seconds = [statistics.median(one[way][n] for one in taken) for n in (0, 1)]
        times = ratios(taken, way)
        lines.append(f"| {way} | {seconds[0]:.1f} | {seconds[1]:.1f} | {times[0]:.2f} | {times[1]:.2f} |")
    size = count * WIDTH * 4 / MIB
    return "\n".join(lines) + (
        f"\n\n{PROBES:,} × {count:,} × {WIDTH}, {len(taken)} rounds. Memory: {grown[1]:.0f} MiB that no file "
        f"is behind, {grown[0]:.0f} MiB in all, which maps the file of {size:.0f} MiB once more.\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        text = measure(Path(folder), 1_000_000 if asked.full else 250_000, asked.rounds)
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].partition(": ")[2] if names else platform.machine()
    cores, busy = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    text = f"{cpu}, {cores} core{'s' * (cores > 1)}, load {busy:.1f}; NumPy {np.__version__}.\n\n{text}"
    print(text, end="")
    if asked.write:
        before, _, rest = RESULTS.read_text().partition(MARKS[0])
        RESULTS.write_text(f"{before}{MARKS[0]}{text}{MARKS[1]}" + rest.partition(MARKS[1])[2])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
