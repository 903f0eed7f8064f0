"""Filtering and sorting runs by any key, a few at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import TypeVar

from arcterm.runs.query.language import Facts, Query

T = TypeVar("T")
_SLICE = 500


def sort(items: Sequence[T], facts: Callable[[T], Facts], key: str, descending: bool = False) -> list[T]:
    """Return `items` by their values of `key`, in order among equals; those without one come last.

    Of several values a number counts before a text; numbers come before texts.
    """
    return next(found for found in _sorted(items, facts, key, descending) if found is not None)


def arrange(
    items: Sequence[T], facts: Callable[[T], Facts], query: Query, key: str = "", descending: bool = False
) -> Iterator[list[T] | None]:
    """Filter `items`, and sort them by `key` if there is one; yield None now and then, at last the result.

    Between two yields a few hundred items are looked at, so that whoever asks can do other things meanwhile.
    """
    chosen = list(items)
    if query.text:
        chosen = []
        for begin in range(0, len(items), _SLICE):
            if begin:
                yield None
            chosen += [item for item in items[begin : begin + _SLICE] if query.matches(facts(item))]
    if key:
        yield from _sorted(chosen, facts, key, descending)
    else:
        yield chosen


def _sorted(
    items: Sequence[T], facts: Callable[[T], Facts], key: str, descending: bool
) -> Iterator[list[T] | None]:
    numbers: list[tuple[float, T]] = []
    texts: list[tuple[str, T]] = []
    missing: list[T] = []
    for place, item in enumerate(items, 1):
        match _sortable(facts(item), key):
            case float() as number:
                numbers.append((number, item))
            case str() as text:
                texts.append((text, item))
            case _:
                missing.append(item)
        if place % _SLICE == 0 and place < len(items):
            yield None
    numbers.sort(key=itemgetter(0), reverse=descending)
    texts.sort(key=itemgetter(0), reverse=descending)
    groups = [[item for _, item in numbers], [item for _, item in texts]]
    yield [item for group in (groups[::-1] if descending else groups) for item in group] + missing


def _sortable(facts: Facts, key: str) -> float | str | None:
    values = list(facts(key))
    number = next((v for v in values if isinstance(v, int | float) and math.isfinite(v)), None)
    if number is not None:
        return float(number)
    text = next((v for v in values if isinstance(v, str) and v), None)
    return None if text is None else text.casefold()
