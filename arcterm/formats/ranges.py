"""Ranges of numbers as users type them: ``0,5,10-19``."""

from __future__ import annotations

import re

from arcterm.errors import DataError

_PART = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


def parse_ranges(text: str, count: int, what: str) -> list[int]:
    """The numbers that `text` names, in ascending order, each once, of 0 … `count` - 1.

    `what` they number, in the plural. Raises `DataError` for another text, a backward range or a number
    that isn't there.
    """
    found: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise DataError(f"{part!r} in {text!r} is neither a number nor a range", "write e.g. 0,5,10-19")
        if last >= count:
            raise DataError(f"there is no number {last} among the {what}", f"they are 0 to {count - 1}")
        found.update(range(first, last + 1))
    return sorted(found)
