"""Where arcterm keeps what it can make again: drawn faces, indexes of large packs, looks at sets."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path


def directory() -> Path:
    """`ARCTERM_CACHE`, or ``arcterm`` in `XDG_CACHE_HOME` or ``~/.cache``; it need not exist."""
    if chosen := os.environ.get("ARCTERM_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "arcterm"


def place(kind: str, files: Sequence[Path], what: str = "") -> Path | None:
    """Where `what` was found in `files`, as they are now, is or would be kept; None if one is out of reach.

    A file that is written to, replaced or moved has another place: it goes by path, size, times and inode.
    """
    digest = hashlib.sha256(what.encode())
    for file in files:
        try:
            s = file.stat()
        except OSError:
            return None
        digest.update(os.fsencode(file.resolve()))
        digest.update(f"\0{s.st_dev} {s.st_ino} {s.st_size} {s.st_mtime_ns} {s.st_ctime_ns}\0".encode())
    return directory() / kind / digest.hexdigest()[:32]


def keep(place: Path, data: bytes) -> None:
    """Put `data` there in one step; a cache that can't be written only costs the next time its time."""
    stage = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        stage.write_bytes(data)
        stage.replace(place)
    except OSError:
        stage.unlink(missing_ok=True)
