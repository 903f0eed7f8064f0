"""The cache of files that can be made again: drawn faces, indexes of large packs, inspections of sets."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from arcterm import files
from arcterm.errors import DataError


def directory() -> Path:
    """`ARCTERM_CACHE`, or ``arcterm`` in `XDG_CACHE_HOME` or ``~/.cache``; it need not exist."""
    if chosen := os.environ.get("ARCTERM_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "arcterm"


def place(kind: str, paths: Sequence[Path], what: str = "") -> Path | None:
    """The path in the cache for `what` of these files as they are; None if one of them is gone.

    A file that is written to, replaced or moved has another place.
    """
    try:
        found = files.stamp((path.resolve() for path in paths), exact=True)
    except DataError:
        return None
    if any(row[1] == -1 for row in found):
        return None
    return directory() / kind / hashlib.sha256(f"{what}{found!a}".encode()).hexdigest()[:32]


def keep(place: Path, data: bytes) -> None:
    """Write `data` there; a cache that can't be written is no error."""
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        files.write_bytes(place, data)
