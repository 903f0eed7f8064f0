"""CPU time of the commands that must be light, against ``python -c "import typer"``; interleaved, medians.

python benchmarks/startup.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys

CASES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import typer": [sys.executable, "-c", "import typer"],
    "arcterm --help": [sys.executable, "-m", "arcterm", "--help"],
    "arcterm plugins": [sys.executable, "-m", "arcterm", "plugins"],
    "arcterm train --help": [sys.executable, "-m", "arcterm", "train", "--help"],
}


def cpu_ms(command: list[str]) -> float:
    """User and system time of a process, in milliseconds."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return 1e3 * (usage.ru_utime + usage.ru_stime)


def main() -> None:
    """Print medians and the ratio to importing typer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(rounds):
        for name, command in random.sample(list(CASES.items()), len(CASES)):
            times[name].append(cpu_ms(command))
    base = times["import typer"]
    for name, spent in times.items():
        ratio = statistics.median(a / b for a, b in zip(spent, base, strict=True))
        print(f"{name:<24}{statistics.median(spent):7.0f} ms  × {ratio:.2f}")


if __name__ == "__main__":
    main()
