"""Score a verification set that is embedded already: 6,000 pairs × 512 floats, beside the plain way in NumPy.

    python benchmarks/verify.py [--rounds 40] [--write]

Both ways run by turns in one process; each number is the median of the rounds. The plain way is what the
formulas say, in blocks of 64 pairs, without rates at fixed thresholds. Exits with 1 if the digits differ.
`--write` puts the table between the marks in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.verify import collapse, protocol
from arcterm.verify.rates import measure_rates

RESULTS = Path(__file__).with_name("RESULTS.md")
MARKS = "<!-- verify -->\n", "<!-- /verify -->\n"

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


def plain_distances(embeddings: Floats) -> NDArray[np.float64]:
    distances = np.empty(len(embeddings) // 2)
    for start in range(0, len(distances), 64):
        rows = embeddings[2 * start : 2 * (start + 64)].astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        rows /= np.where(norms > 0, norms, 1)[:, None]
        difference = rows[0::2] - rows[1::2]
        distances[start : start + 64] = np.square(difference, out=difference).sum(1)
    return distances


def plain_rates(
    distances: NDArray[np.float64], same: Bools, fold: NDArray[np.intp], folds: int
) -> tuple[float, float, float]:
    order = np.argsort(distances[~same], kind="stable")
    impostors, impostor_fold = distances[~same][order], fold[~same][order]
    genuine, genuine_fold = distances[same], fold[same]
    tars, fars, thresholds = [], [], []
    for held_out in range(folds):
        training = impostors[impostor_fold != held_out]
        allowed = np.count_nonzero(np.arange(1, len(training) + 1) / len(training) <= protocol.MAX_FAR)
        thresholds.append(training[allowed])
        for rates, test in (
            (tars, genuine[genuine_fold == held_out]),
            (fars, impostors[impostor_fold == held_out]),
        ):
            rates.append(np.count_nonzero(test < training[allowed]) / len(test))
    return float(np.mean(tars)), float(np.mean(fars)), float(np.mean(thresholds))


def score_plainly(embeddings: Floats, same: Bools, where: NDArray[np.intp]) -> tuple[float, ...]:
    gathered = embeddings[where]
    collapse.find_useless(gathered, "set")
    distances = plain_distances(gathered)
    fold = protocol._fold_of_each(len(same), 10)
    best, accuracies = protocol._accuracy(distances, same, fold, 10)
    rates = plain_rates(distances, same, fold, 10)
    collapse.find_useless(gathered, "set")
    collapse._find_alike(gathered, "set")
    return float(np.mean(accuracies)), float(np.std(accuracies)), float(np.mean(best)), *rates


def score(embeddings: Floats, same: Bools) -> tuple[float | None, ...]:
    """Do what `Embedder.verify` does once the pictures are embedded."""
    measured = protocol.measure_pairs(embeddings)
    collapse.find_directionless(measured.lengths, "set")
    found = protocol.evaluate_distances(measured.distances, same)
    collapse.find_in_pairs(embeddings, measured, same, "set")
    return found.accuracy, found.std, found.threshold, found.tar_at_far, found.far, found.far_threshold


def medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Milliseconds of each way, by turns: of the clock, and of all cores together."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            clock, cores = time.perf_counter(), time.process_time()
            way()
            passed = time.perf_counter() - clock, time.process_time() - cores
            taken[name].append((1e3 * passed[0], 1e3 * passed[1]))
    return {
        name: (statistics.median(clock), statistics.median(cores))
        for name, times in taken.items()
        for clock, cores in [zip(*times, strict=True)]
    }


def processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.machine()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--write", action="store_true")
    asked, cores = parser.parse_args(), len(os.sched_getaffinity(0))
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(12_000, 512)).astype(np.float32)
    same = np.arange(6000) % 600 < 300
    embeddings[1::2] += embeddings[0::2] * same[:, None]
    where, distances = np.arange(12_000), protocol.pair_distances(embeddings)
    if score(embeddings, same) != score_plainly(embeddings, same, where):
        print("the digits differ")
        return 1
    ways: dict[str, Callable[[], object]] = {
        "all, plainly": lambda: score_plainly(embeddings, same, where),
        "all": lambda: (score(embeddings, same), measure_rates(distances, same)),
        "distances, plainly": lambda: plain_distances(embeddings),
        "distances and lengths": lambda: protocol.measure_pairs(embeddings),
        "ten folds": lambda: protocol.evaluate_distances(distances, same),
        "rates at fixed thresholds": lambda: measure_rates(distances, same),
    }
    taken = medians(ways, asked.rounds)
    lines = ["| work | ms | CPU ms |", "|---|---|---|"]
    lines += [f"| {name} | {clock:.2f} | {cpu:.2f} |" for name, (clock, cpu) in taken.items()]
    busy = os.getloadavg()[0]
    about = (
        f"{processor()}, {cores} cores, load {busy:.1f}; NumPy {np.__version__}, PyTorch {torch.__version__}."
    )
    text = f"{about} The same digits both ways.\n\n" + "\n".join(lines) + "\n"
    print(text, end="")
    if asked.write:
        before, _, rest = RESULTS.read_text().partition(MARKS[0])
        RESULTS.write_text(f"{before}{MARKS[0]}{text}{MARKS[1]}" + rest.partition(MARKS[1])[2])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
