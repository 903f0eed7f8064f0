"""``python -m arcterm.console.web PARENT ROOT``: the console of one browser tab, a child of the server's."""

from __future__ import annotations

import argparse
from pathlib import Path

from arcterm.console import ending
from arcterm.console.app import Console
from arcterm.parent_death import tie_to


def main() -> int:
    """Run the console over Textual's web driver, which the environment names; it ends with its parent."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parent", type=int)
    parser.add_argument("root", type=Path)
    parser.add_argument("--run")
    parser.add_argument("--readonly", action="store_true")
    asked = parser.parse_args()
    tie_to(asked.parent)
    return ending.run(Console(asked.root, asked.run, readonly=asked.readonly))


if __name__ == "__main__":
    raise SystemExit(main())
