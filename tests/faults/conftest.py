"""Disks that are small, and the front door that they are used through."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import arcterm, pack, people, plugins

__all__ = ["arcterm", "pack", "people", "plugins"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB in memory; skips where none can be mounted."""
    place = tmp_path / "runs"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "arcterm-test", str(place)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip(f"a file system can't be mounted here: {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def filler_of(disk: Path) -> Path:
    """The file with which `fill` takes what is free on a disk."""
    return disk / "filler"


def fill(disk: Path) -> bool:
    """Leave 0 bytes on a disk."""
    with filler_of(disk).open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return True
