"""The estimate of a rank's memory against the most that a real one takes (VmHWM), on the CPU.

python benchmarks/memory.py [r18:16 m1:8 …] [--steps 3] [--set precision=float32 …]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CASES = ["r50:8", "m1:8", "y1:16", "d121:8", "i2:4"]
ARCTERM = [sys.executable, "-m", "arcterm", "train"]


def command(case: str, settings: list[str], steps: int, runs: str) -> list[str]:
    """The command that trains `case`, ``BACKBONE:BATCH``, on the demo."""
    backbone, batch = case.split(":")
    words = [*ARCTERM, backbone, "arcface", "--batch-size", batch, "--steps", str(steps), "--runs-dir", runs]
    return [*words, *(word for text in ["verify_sets=demo_frontal", *settings] for word in ("--set", text))]


def estimated(words: list[str]) -> int:
    """Bytes that the plan says a rank needs."""
    done = subprocess.run([*words, "--dry-run", "--json"], capture_output=True, text=True, check=True)
    total: int = json.loads(done.stdout)["estimate"]["total"]
    return total


def measured(words: list[str], runs: str) -> tuple[int, float]:
    """The most bytes that the rank was resident with, and the seconds of the whole run."""
    started, most = time.monotonic(), 0
    with subprocess.Popen(
        [*words, "--plain"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            most = max(
                [
                    most,
                    *(
                        _high_water(folder)
                        for folder in Path("/proc").glob("[0-9]*")
                        if _is_rank(folder, runs)
                    ),
                ]
            )
            time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{words} ended with {process.returncode}")
    return most, time.monotonic() - started


def _is_rank(folder: Path, runs: str) -> bool:
    try:
        words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return "arcterm.processes.rank" in words and any(word.startswith(runs) for word in words)


def _high_water(folder: Path) -> int:
    """Not ru_maxrss, which a process has from the one that it was forked from."""
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")), 0)


def main() -> None:
    """Print a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    asked = parser.parse_args()
    print("| network, batch | estimate, MiB | measured, MiB | ratio | run |\n|---|---|---|---|---|")
    for case in asked.cases:
        with tempfile.TemporaryDirectory(prefix="arcterm-memory-") as runs:
            words = command(case, asked.settings, asked.steps, runs)
            guess = estimated(words)
            real, seconds = measured(words, runs)
        cells = [case.replace(":", ", "), f"{guess >> 20:,}", f"{real >> 20:,}", f"{guess / real:.2f}"]
        print(f"| {' | '.join(cells)} | {seconds:.0f} s |", flush=True)


if __name__ == "__main__":
    main()
