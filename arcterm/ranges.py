"""Ranges of numbers as users type them: ``0,5,10-19``."""

from __future__ import annotations

import re

from arcterm.errors import DataError

_PART = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


def parse_ranges(text: str) -> list[range]:
    """Parse numbers and ranges separated by commas, in their order; `ValueError` names what is neither."""
    found = []
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise ValueError(f"{part!r} is neither a number nor a range")
        found.append(range(first, last + 1))
    return found


def numbers_below(count: int, text: str, what: str) -> list[int]:
    """Return the numbers that `text` names, each once in ascending order; they number `what`, in the plural.

    Raises `DataError` for another text and for a number that isn't below `count`.
    """
    try:
        ranges = parse_ranges(text)
    except ValueError as error:
        raise DataError(f"in {text!r} {error}", "write e.g. 0,5,10-19") from None
    last = max(span.stop for span in ranges) - 1
    if last >= count:
        raise DataError(f"there is no number {last} among the {what}", f"they are 0 to {count - 1}")
    return sorted({number for span in ranges for number in span})
