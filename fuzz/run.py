"""``python -m fuzz.run [TARGET…] [--seconds 30] [--jobs 2]``: every target for a while; 1 on a finding.

New inputs stay in memory, so that the corpus is what was committed. A finding is kept in ``fuzz/findings/``.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from fuzz.targets import TARGETS

HERE = Path(__file__).parent
FINDINGS = HERE / "findings"
MEMORY = Path("/dev/shm")


def run(name: str, seconds: int) -> bool:
    """Fuzz one target and print one line, or the end of what it said; whether it found nothing."""
    FINDINGS.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "fuzz.harness", name, f"-max_total_time={seconds}"]
    command += [f"-artifact_prefix={FINDINGS}/{name}-", "-rss_limit_mb=4096"]
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as place:
        (found := Path(place) / "found").mkdir()
        started = time.monotonic()
        done = subprocess.run(
            [*command, str(found), str(HERE / "corpus" / name)],
            cwd=HERE.parent,
            env=os.environ | {"TMPDIR": place},
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    tries = re.search(r"stat::number_of_executed_units: *(\d+)", done.stderr)
    spent = time.monotonic() - started
    told = f"{int(tries[1]):,} inputs, {int(tries[1]) / spent:,.0f} a second" if tries else "no input tried"
    if done.returncode == 0 and tries:
        print(f"{name:12} {told}", flush=True)
        return True
    kept = re.search(r"Test unit written to (\S+)", done.stderr)
    print(
        f"{name:12} {told}; exit status {done.returncode}\n{(done.stdout + done.stderr)[-4000:]}", flush=True
    )
    if kept:
        print(f"the input: {kept[1]}\nagain:     python -m fuzz.harness {name} {kept[1]}", flush=True)
    return False


def main() -> int:
    """Fuzz the targets that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help="one parser's name; all by default")
    parser.add_argument("--seconds", type=int, default=30, help="for each target")
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    asked = parser.parse_args()
    if find_spec("atheris") is None:
        print("no fuzzing: atheris isn't installed; it has wheels for Linux on x86-64, Python 3.11 to 3.13")
        return 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        fine = list(pool.map(lambda name: run(name, asked.seconds), asked.target or TARGETS))
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main())
