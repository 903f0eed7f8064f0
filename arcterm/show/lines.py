"""Lines of a panel: plain text with a role each, cut and aligned by whole items. No Textual, no markup."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

Piece = tuple[str, str]
Line = list[Piece]
"""Texts with the role of each: one of `palette.ROLES`, or empty for the normal style."""

GAP = "  "
_LEVELS = "▁▂▃▄▅▆▇█"


def width_of(pieces: Iterable[Piece]) -> int:
    """Terminal cells that `pieces` take."""
    return sum(cell_len(text) for text, _ in pieces)


def differing(one: Line, other: Line) -> tuple[int, int]:
    """The first cell from which two lines of equal width differ, and how many cells up to the last."""
    start, end = 0, 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        start += cell_len(a[0])
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        end += cell_len(a[0])
    return start, max(0, width_of(other) - start - end)


def shorten(text: str, width: int) -> str:
    """`text` in at most `width` cells; an ellipsis tells that something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1).rstrip() + "…" if width > 0 else ""


def tail(text: str, width: int) -> str:
    """The end of `text` in at most `width` cells: of a path it tells more than the beginning."""
    if cell_len(text) <= width:
        return text
    return "…" + set_cell_size(text[::-1], width - 1)[::-1].lstrip() if width > 0 else ""


def pad(text: str, width: int, right: bool = False) -> str:
    """`text` in exactly `width` cells, to the left or the right."""
    text = shorten(text, width)
    space = " " * (width - cell_len(text))
    return space + text if right else text + space


def spread(left: Sequence[Line | Piece], right: Sequence[Line | Piece], width: int) -> Line:
    """Items from the left and the right edge; what doesn't fit is left out whole, the last left one first.

    The right items always stay: put there what must not go.
    """
    ends = _join(right)
    room = width - 2 - width_of(ends)
    starts: Line = []
    for item in left:
        pieces = _pieces(item)
        wider = [*starts, *([(GAP, "")] if starts else []), *pieces]
        if width_of(wider) + (len(GAP) if ends else 0) > room:
            break
        starts = wider
    gap = " " * max(0, room - width_of(starts))
    return [(" ", ""), *starts, (gap, ""), *ends, (" ", "")]


def heading(title: str, width: int, right: str = "", role: str = "head") -> Line:
    """A panel's first line: its title, a rule, and a word at the right end where there is room."""
    title = shorten(title, width - 4)
    room = width - cell_len(title) - 4
    tail = f" {right} " if right and cell_len(right) + 4 <= room else ""
    return [("─ ", "rule"), (title, role), (" " + "─" * (room - cell_len(tail)) + "─", "rule"), (tail, "dim")]


def bar(share: float, width: int, role: str = "accent") -> Line:
    """A horizontal bar of `width` cells, filled by `share` (0..1)."""
    share = min(1.0, max(0.0, share)) if math.isfinite(share) else 0.0
    full = round(share * width)
    return [("━" * full, role), ("─" * (width - full), "rule")]


def spark(values: Sequence[float], width: int, low: float | None = None, high: float | None = None) -> str:
    """The last `width` values as one row of blocks; a gap for what is not finite."""
    recent = list(values)[-width:]
    finite = [v for v in recent if math.isfinite(v)]
    if not finite:
        return " " * width
    low = min(finite) if low is None else low
    high = max(finite) if high is None else high
    span = high - low or 1.0
    marks = [_LEVELS[min(7, max(0, int((v - low) / span * 8)))] if math.isfinite(v) else " " for v in recent]
    return "".join(marks).rjust(width)


def wrap(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken between words where that is possible."""
    lines = []
    for paragraph in text.splitlines() or [""]:
        narrow = cell_len(paragraph) == len(paragraph)
        lines += (_wrap_letters if narrow else _wrap_cells)(paragraph, max(8, width)) or [""]
    return lines


def _wrap_letters(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def _wrap_cells(text: str, width: int) -> list[str]:
    """The same for letters of which some take two cells."""
    rows: list[str] = []
    row = ""
    for word in text.split():
        if row and cell_len(row) + 1 + cell_len(word) <= width:
            row = f"{row} {word}"
            continue
        rows += [row] if row else []
        *whole, row = chop_cells(word, width)
        rows += whole
    return [*rows, row] if row else rows


def fit(lines: list[Line], height: int) -> list[Line]:
    """`lines` in at most `height` rows; where they are more, the last row counts those that are not shown."""
    if len(lines) <= height or height < 2:
        return lines[:height]
    return [*lines[: height - 1], [(f" … {len(lines) - height + 1} more", "dim")]]


def _pieces(item: Line | Piece) -> Line:
    return [item] if isinstance(item, tuple) else item


def _join(items: Sequence[Line | Piece]) -> Line:
    joined: Line = []
    for item in items:
        joined += [*([(GAP, "")] if joined else []), *_pieces(item)]
    return joined
