"""Sorting runs by any key."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

from arcterm.runs.query.language import Facts

T = TypeVar("T")


def sort(items: Sequence[T], facts: Callable[[T], Facts], key: str, descending: bool = False) -> list[T]:
    """Return `items` by their values of `key`, in order among equals; those without one come last.

    Of several values a number counts before a text; numbers come before texts.
    """
    there: list[tuple[tuple[int, float, str], T]] = []
    missing: list[T] = []
    for item in items:
        value = _sortable(facts(item), key)
        if value is None:
            missing.append(item)
        else:
            there.append((value, item))
    there.sort(key=lambda pair: pair[0], reverse=descending)
    return [item for _, item in there] + missing


def _sortable(facts: Facts, key: str) -> tuple[int, float, str] | None:
    values = list(facts(key))
    number = next((v for v in values if isinstance(v, int | float) and math.isfinite(v)), None)
    if number is not None:
        return 0, float(number), ""
    text = next((v for v in values if isinstance(v, str) and v), None)
    return None if text is None else (1, 0.0, text.casefold())
