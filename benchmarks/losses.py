"""Train `tiny` on the demo with every registered loss: what each reaches on people that it has not seen.

    python benchmarks/losses.py                    all of them, a run a core
    python benchmarks/losses.py cosface magface    some of them

Every run has the same steps and learning rate, and the loss its defaults. Prints the table and, if all were
asked for, puts it between the marks in benchmarks/RESULTS.md. Exits with 1 if a loss does not pass 0.9.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from arcterm_registry import names

STEPS, RATE, BAR = 800, 0.1, 0.9
RESULTS = Path(__file__).with_name("RESULTS.md")
MARKS = "<!-- losses -->\n", "<!-- /losses -->\n"


def run(name: str, core: int, folder: str) -> dict[str, object]:
    """One training run on one core; what `arcterm train --json` says of it."""
    command = [sys.executable, "-m", "arcterm", "train", "tiny", name, "--lr", str(RATE)]
    command += ["--steps", str(STEPS), "--verify-every", str(STEPS), "--runs-dir", folder, "--json"]
    made = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, check=False)
    if made.returncode:
        return {"loss": name, "error": made.stderr.strip().splitlines()[-1]}
    told = json.loads(made.stdout)
    scores = {key: value["accuracy"] for key, value in told["verification"].items()}
    return {"loss": name, "scores": scores}


def table(rows: list[dict[str, object]]) -> str:
    sets = list(next(row["scores"] for row in rows if "scores" in row))
    lines = [f"| loss | {' | '.join(sets)} |", "|---" * (len(sets) + 1) + "|"]
    for row in rows:
        told = [f"{row['scores'][key]:.4f}" for key in sets] if "scores" in row else [row["error"]]
        lines.append(f"| {row['loss']} | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("losses", nargs="*", default=[])
    asked = parser.parse_args().losses
    chosen = asked or [name for name in names("loss") if ":" not in name]
    cores: Queue[int] = Queue()
    for core in sorted(os.sched_getaffinity(0)):
        cores.put(core)

    def on_a_core(name: str) -> dict[str, object]:
        core = cores.get()
        try:
            row = run(name, core, folder)
        finally:
            cores.put(core)
        print(json.dumps(row), file=sys.stderr, flush=True)
        return row

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(cores.qsize()) as pool:
        rows = list(pool.map(on_a_core, chosen))
    text = table(rows)
    print(text, end="")
    if not asked:
        before, _, rest = RESULTS.read_text().partition(MARKS[0])
        machine = platform.processor() or platform.machine()
        recipe = f"lr {RATE}, {STEPS} steps of 32 images (30 for triplet)"
        whole = f"{MARKS[0]}{machine}, one core a run, {recipe}.\n\n{text}{MARKS[1]}"
        RESULTS.write_text(before + whole + rest.partition(MARKS[1])[2])
    return int(any("error" in row or min(row["scores"].values()) <= BAR for row in rows))


if __name__ == "__main__":
    sys.exit(main())
