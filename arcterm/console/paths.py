"""Completion of paths while typing."""

from __future__ import annotations

import asyncio
import itertools
import os
from pathlib import Path

from textual.suggester import Suggester

_LOOKED_AT = 5000


class PathSuggester(Suggester):
    """Suggests the first matching name in the directory; with `several`, for the last of the paths."""

    def __init__(self, several: bool = False) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._several = several

    async def get_suggestion(self, value: str) -> str | None:
        """`value` with its last path completed; None if nothing fits."""
        typed = value.rpartition(",")[2].lstrip() if self._several else value
        found = await asyncio.to_thread(complete, typed) if typed else ""
        return value + found if found else None


def complete(typed: str) -> str:
    """The missing rest of the first matching name, in order; a directory ends in ``/``."""
    if typed == "~":
        return "/"
    folder, _, start = typed.rpartition("/")
    where = folder or ("/" if typed.startswith("/") else ".")
    try:
        with os.scandir(Path(where).expanduser()) as entries:
            names = sorted(
                entry.name + ("/" if entry.is_dir() else "")
                for entry in itertools.islice(entries, _LOOKED_AT)
                if entry.name.startswith(start) and (start or not entry.name.startswith("."))
            )
    except (OSError, RuntimeError):  # not there, not readable, a ~user without a home: nothing to suggest
        return ""
    fit = (name for name in names if name.isprintable() and len(name) > len(start))
    return next((name[len(start) :] for name in fit), "")
