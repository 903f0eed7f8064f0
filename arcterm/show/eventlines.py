"""A line of an event file as a person reads it, and which of them are wanted."""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from arcterm.errors import ConfigError
from arcterm.runs.events import KINDS
from arcterm.runs.reading.lines import CORRUPT, EventLine

_MARK = "!"


def check_kinds(kinds: Collection[str]) -> None:
    """Raise `ConfigError` for a kind that no line has."""
    unknown = sorted(set(kinds) - {*KINDS, CORRUPT})
    if unknown:
        raise ConfigError(
            f"there is no kind {unknown[0]!r} of events", f"one of {', '.join([*KINDS, CORRUPT])}"
        )


def written(line: EventLine) -> str:
    """Write a line for a person, ``16:02:33 r0 step  step 17  loss 5.08``; what is no event has a mark."""
    clock = time.strftime("%H:%M:%S", time.localtime(line.t)) if line.t else "  :  :  "
    if line.event is None:
        where = f"{line.file}:{line.number} {line.problem}"
        return f"{clock} r{line.rank} {_MARK}{CORRUPT}    {where}: {line.text.decode('utf-8', 'replace')}"
    values = msgspec.to_builtins(line.event)
    told = "  ".join(f"{key} {_value(value)}" for key, value in values.items() if key not in ("k", "t"))
    return f"{clock} r{line.rank} {line.kind:<10}  {told}"


def as_json(line: EventLine) -> str:
    """Return the line as it stands in its file; of one that is no event, an object that says so."""
    if line.event is not None:  # what acts on a terminal is not ASCII, or escaped already
        return line.text.decode() if line.text.isascii() else json.dumps(json.loads(line.text))
    text = line.text.decode("utf-8", "replace")
    place = {"file": line.file, "line": line.number}
    return json.dumps({"k": CORRUPT, **place, "reason": line.problem, "text": text})


def unreadable(counts: Mapping[str, int]) -> str:
    """``3 event lines can't be read: 2 with a wrong checksum, 1 cut off``; empty if all can."""
    total = sum(counts.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(counts.items()) if count)
    return f"{total:,} event line{'s' * (total != 1)} can't be read: {reasons}" if total else ""


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
