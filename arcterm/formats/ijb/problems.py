"""Problems of several files, gathered, so that one error names them all."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from arcterm.errors import DataError

NAMED = 5
"""Problems of one kind that are named; the others are counted."""

_LONGEST = 800  # characters of a message


class BadLine(ValueError):  # noqa: N818  it never reaches a user
    """A line that can't be used, and why."""


class Problems:
    """Problems with files, each a sentence without its full stop."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, reasons: Iterable[str], total: int | None = None) -> None:
        """Add `reasons` of one kind; those above `NAMED` of them, or of a `total`, are counted."""
        several = list(reasons)
        self._found += several[:NAMED]
        more = (len(several) if total is None else total) - NAMED
        if more > 0:
            self._found.append(f"and {more:,} more like these")

    def require_none(self, what: Path, hint: str) -> None:
        """Raise `DataError` with all problems found so far, as far as they fit into a message."""
        if not self._found:
            return
        lengths = np.cumsum([len(reason) + 2 for reason in self._found])
        fitting = max(1, int(np.searchsorted(lengths, _LONGEST)))
        rest = "; and there is more" if len(self._found) > fitting else ""
        raise DataError(f"{what} can't be used: {'; '.join(self._found[:fitting])}{rest}", hint)


def quote(field: bytes | str) -> str:
    """Quote a field for a message: ASCII of at most 60 characters, those that stand for others counted."""
    text = field if isinstance(field, str) else field.decode("utf-8", "backslashreplace")
    shown = ascii(text)[1:-1]
    return f"'{shown}'" if len(shown) <= 60 else f"'{shown[:57]}...'"
