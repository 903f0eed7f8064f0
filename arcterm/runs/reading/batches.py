"""Steps decoded in bulk: a block of lines by one call, of which the numbers of curves are kept as columns.

Whatever is unusual in a block makes it be decoded line by line: a line that is no event, steps that do not
rise, the start of a rank.
"""

from __future__ import annotations

import math
import os
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import ge, or_
from typing import Any, Literal, get_args

import msgspec

from arcterm.runs.events import METRICS, AnyEvent, Start, Step, decode

_STEP, _CRC = b'{"k":"step"', b',"crc":"%08x"}'
_CRC_BYTES = 18
_COLUMNS = ("step", "epoch", "t", *METRICS)
_SEAL_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class StepBatch:
    """Consecutive steps, each greater than the one before it, as columns of equal length.

    `steps` and `epochs` are int64, `times` float64 seconds since 1970, `t` the latest of them. `series` are
    float64 by the names of `METRICS`, float32 where that was asked for, NaN where a step has no such value.
    `last` is the last of the steps in full.
    """

    steps: array[int]
    epochs: array[int]
    times: array[float]
    series: dict[str, array[float]]
    last: Step
    t: float

    def __len__(self) -> int:
        return len(self.steps)


def _row_type() -> Any:
    """A `Step` with the fields of a batch alone: the others are passed over, which takes half of the time."""
    fields = {field.name: field for field in msgspec.structs.fields(Step)}
    kept = [(name, fields[name].type, fields[name].default) for name in _COLUMNS]
    return msgspec.defstruct("_Row", kept, tag="step", tag_field="k", kw_only=True, gc=False)


_Row = _row_type()
_others = [kind for kind in get_args(AnyEvent) if kind is not Step]
_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(reduce(or_, _others, _Row))


def decode_block(block: bytes, *, sealed: bool, compact: bool) -> list[AnyEvent | StepBatch] | None:
    """Decode whole lines, steps' series to float32 if `compact`; None if they have to be decoded one by one.

    The checksums of the lines are not checked where the block is `sealed`, so that its bytes are known to be
    those that were written.
    """
    if not sealed and not _intact(block):
        return None
    try:
        found = _decoder.decode_lines(block)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    rows = [event for event in found if type(event) is _Row]
    if not rows:
        return found
    place = next(i for i, event in enumerate(found) if type(event) is _Row)
    others = [event for event in found[place:] if type(event) is not _Row]
    if any(type(event) is Start for event in others):
        return None  # steps before it may be made again
    begin = block.rfind(b"\n" + _STEP) + 1
    last = decode(block[begin : block.index(b"\n", begin)])
    batch = _batch(rows, last, "f" if compact else "d") if isinstance(last, Step) else None
    return None if batch is None else [*found[:place], batch, *others]


def _batch(rows: list[Any], last: Step, code: Literal["f", "d"]) -> StepBatch | None:
    # of numbers in a tuple nothing is made anew when they are compared, as of those in an array
    columns = dict(zip(_COLUMNS, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True))
    steps = columns["step"]
    if any(map(ge, steps, steps[1:])) or steps[-1] != last.step:
        return None
    series = {name: _reals(code, columns[name]) for name in METRICS}
    epochs, times = array("q", columns["epoch"]), array("d", columns["t"])
    return StepBatch(array("q", steps), epochs, times, series, last, max(columns["t"]))


def _reals(code: Literal["f", "d"], values: tuple[Any, ...]) -> array[float]:
    try:
        return array(code, values)
    except TypeError:  # some are texts such as "nan", or missing
        if values.count(None) == len(values):
            return array(code, [math.nan]) * len(values)
        return array(code, [math.nan if value is None else float(value) for value in values])


def _intact(block: bytes) -> bool:
    """Whether the checksum of every line is right."""
    return all(
        line[-_CRC_BYTES:] == _CRC % zlib.crc32(line[:-_CRC_BYTES]) for line in block[:-1].split(b"\n")
    )


def seal_holds(fd: int, seal: tuple[int, int]) -> bool:
    """Return whether the first bytes of a file are those of its `seal`, as `read_seal` gives it."""
    size, expected = seal
    crc = 0
    for at in range(0, size, _SEAL_BLOCK):
        crc = zlib.crc32(os.pread(fd, min(_SEAL_BLOCK, size - at), at), crc)
    return crc == expected


def blocks(fd: int, start: int, size: int) -> Iterator[tuple[int, bytes]]:
    """Whole lines from byte `start` on as (byte after them, lines), about `size` bytes at a time."""
    most = size
    while True:
        data = os.pread(fd, most, start)
        length = data.rfind(b"\n") + 1
        if length:
            start, most = start + length, size
            yield start, data[:length]
        elif len(data) < most:
            return
        else:
            most *= 2  # the line is longer
