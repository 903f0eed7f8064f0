"""The part of a run's ranks that one host has."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from arcterm.runs.store import Run


class HostPlace(NamedTuple):
    """Host `number` of a run: its `ranks`, its `name`, and the `address` that others reach; "" if alone."""

    number: int = 0
    ranks: range = range(0)
    name: str = ""
    address: str = ""

    def folder(self, run: Run, attempt: int) -> Path:
        """The folder of this host's agent in an attempt."""
        whole = run.attempt_dir(attempt)
        return whole / f"host-{self.number:05d}" if self.number else whole


ALONE = HostPlace()
"""The place of a run on one host."""
