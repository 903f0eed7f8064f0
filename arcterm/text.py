"""Text of strangers made fit to be shown; names, shares and seconds in words: for every side."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(\x07|\x1b\\)?|.)?")
_BREAK = re.compile("[\n\u2028\u2029]")
# C0 but for the tab, DEL, C1, and what turns the direction of writing
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f]")
_UNDECODED = re.compile("[\ud800-\udfff]")  # a byte of a file's name that is no UTF-8


def clean(text: str) -> str:
    """`text` as one line without escape sequences, control characters and bidirectional overrides."""
    text = _BREAK.sub(" ", _SEQUENCE.sub("", text))
    return _UNDECODED.sub("\ufffd", _CONTROL.sub("", text))


def duration(seconds: float) -> str:
    """Seconds in words: ``45 s``, ``12 min``, ``3 h 20 min``, ``4 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"
    return f"{seconds / 86400:.0f} days"


def byte_size(count: float) -> str:
    """``31.2 GiB``, ``1.3 MiB``, ``64.0 KiB``, ``0 bytes``."""
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if count >= 1024**power:
            return f"{count / 1024**power:.1f} {unit}"
    return f"{count:.0f} bytes"


def first_of(names: Sequence[str], most: int, between: str = ", ") -> str:
    """The first names, and how many more there are: ``a, b and 3 more``, ``a; b; and 3 more``."""
    more = len(names) - most
    last = f"{' ' if between == ', ' else between}and {more:,} more" if more > 0 else ""
    return between.join(names[:most]) + last


def percent(share: float | None) -> str:
    """A share with two decimals: ``93.25 %``; a dash for none."""
    return "–" if share is None else f"{100 * share:.2f} %"
