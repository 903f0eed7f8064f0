"""The table of docs/scaling.md, by `arcterm plan --json` with the constants of docs/scaling.toml.

python benchmarks/scaling.py [--write]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "docs" / "scaling.md"
MARKS = "<!-- scaling -->", "<!-- /scaling -->"
# people, images, hosts of eight GPUs
ROWS = [
    (100_000, 5_000_000, 1),
    (1_000_000, 40_000_000, 1),
    (1_000_000, 40_000_000, 4),
    (10_000_000, 300_000_000, 4),
    (10_000_000, 300_000_000, 16),
    (100_000_000, 2_000_000_000, 2),
    (100_000_000, 2_000_000_000, 16),
    (100_000_000, 2_000_000_000, 64),
]


def plan(classes: int, images: int, hosts: int, *more: str) -> dict[str, Any]:
    """What the plan of r50 with 128 images a GPU says."""
    command = [
        *(sys.executable, "-m", "arcterm", "plan", "r50", "cosface", "--nnodes", str(hosts)),
        *("--classes", str(classes), "--images", str(images), "--batch-size", "128"),
        *("--constants", str(PAGE.with_suffix(".toml")), "--json", *more),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)[0]
    return found


def size(count: float) -> str:
    """Bytes as GB or TB, as disks and networks are sold."""
    return f"{count / 1e12:,.1f} TB" if count >= 1e12 else f"{count / 1e9:,.1f} GB"


def row(classes: int, images: int, hosts: int) -> str:
    """A row of the table."""
    whole = plan(classes, images, hosts)
    sampled = plan(classes, images, hosts, "--set", "sample_rate=0.1")
    first, memory = whole["head"][0], whole["constants"]["machine"]["memory"]
    needs = [each["need"]["total"] for each in (whole, sampled)]
    step, saving = whole["step"], whole["saving"]
    cells = [
        f"{classes:,}",
        f"{images / 1e6:,.0f} M",
        f"{hosts} × 8",
        f"{first['last'] - first['first'] + 1:,}",
        *(f"{size(need)}{'' if need <= memory else ' ✗'}" for need in needs),
        f"{sum(whole['sent'].values()) / 1e6:,.0f} MB",
        f"{1e3 * (step['embeddings'] + step['gradients'] + step['hidden']):.1f} ms",
        size(saving["bytes"]),
        f"{saving['seconds']:.0f} s",
        f"{saving['wait']:.1f} s",
        size(images * 8.4e3),
    ]
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """The table as Markdown."""
    head = [
        *("people", "images", "hosts × GPUs", "class rows a GPU", "memory a GPU", "with `sample_rate=0.1`"),
        *("sent by a GPU a step", "in", "checkpoint", "written in", "steps wait", "JPEGs"),
    ]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(row(*each) for each in ROWS)])


def main() -> None:
    """Print the table, or put it into the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    made = table()
    if not parser.parse_args().write:
        print(made)
        return
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(MARKS[0])
    PAGE.write_text(f"{before}{MARKS[0]}\n{made}\n{MARKS[1]}{rest.split(MARKS[1])[1]}", encoding="utf-8")


if __name__ == "__main__":
    main()
