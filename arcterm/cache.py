"""Where arcterm keeps what it can make again: drawn faces, indexes of large packs."""

from __future__ import annotations

import os
from pathlib import Path


def directory() -> Path:
    """`ARCTERM_CACHE`, or ``arcterm`` in `XDG_CACHE_HOME` or ``~/.cache``; it need not exist."""
    if chosen := os.environ.get("ARCTERM_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "arcterm"
