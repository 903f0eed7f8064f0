"""TensorBoard's event files: scalars by step, read without TensorBoard.

A file is a sequence of records: u64 length, u32 masked CRC-32C of it, that many bytes, u32 masked CRC-32C of
them, all little-endian (TensorFlow, ``lib/io/record_writer.h``). Each is an ``Event`` (``event.proto``).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from arcterm.errors import DataError
from arcterm.files import open_regular
from arcterm.formats.protobuf import fields
from arcterm.formats.trainlogs.logged import NAME_A_LOG, LoggedPoint, LoggedRun, LoggedScore, LoggedStart
from arcterm.text import clean

PATTERN = "*tfevents*"
_HEAD, _SUM = struct.Struct("<QI"), 4
_LARGEST, _LONGEST_TAG, _MOST_STEPS = 64 << 20, 120, 10**12
_PLACES = {
    "loss": re.compile(r"(?:train(?:ing)?[/_ ])?loss(?:[/_ ]train(?:ing)?)?"),
    "lr": re.compile(r"(?:(?:train(?:ing)?|param|opt\w*)[/_ ])?(?:lr|learning[_ ]?rate)(?:[-/_ ]\w+)?"),
    "speed": re.compile(r"(?:.*/)?(?:images_per_second|samples_per_second|throughput|speed)"),
    "accuracy": re.compile(r"(?:train(?:ing)?[/_ ])?acc(?:uracy)?"),
    "epoch": re.compile(r"(?:train(?:ing)?[/_ ])?epoch"),
}
"""Tags of the numbers of a step, in lower case."""
_OURS = re.compile(r"^verify/([\w.@+-]+)/(accuracy|std|xnorm)$")
_SET = re.compile(
    r"(?:^|[/_ ])((?:lfw|cfp_ff|cfp_fp|agedb_30|agedb|calfw|cplfw|vgg2_fp|sllfw|xqlfw|rfw_\w+?))"
    r"(?:[/_ ](?:acc\w*|val\w*))?$"
)


class Scalar(NamedTuple):
    """A value of an event file. `begins` marks a session that goes on from `step`: later ones are void."""

    t: float
    step: int
    tag: str
    value: float
    begins: bool = False


def is_event_file(path: Path) -> bool:
    """Whether a file begins as an event file does."""
    with open_regular(path, NAME_A_LOG, ours=False) as file:
        head = file.read(_HEAD.size)
    return len(head) == _HEAD.size and _is_length(head)


def read_run(paths: list[Path]) -> LoggedRun:
    """Read the event files of one run, in the order of their names; raises `DataError` if they have none."""
    attempts = [LoggedStart()]
    rows: dict[int, LoggedPoint] = {}
    unknown: set[str] = set()
    chosen: dict[str, str] = {}
    for path in sorted(paths):
        for scalar in read_scalars(path):
            if scalar.begins:
                attempts[-1].points, rows = _in_order(rows), {}
                attempts.append(LoggedStart(start=min(max(0, scalar.step - 1), _MOST_STEPS)))
            elif not 0 <= scalar.step < _MOST_STEPS or not _take(scalar, rows, attempts[-1], chosen):
                unknown.add(scalar.tag)
    attempts[-1].points = _in_order(rows)
    kept = [each for each in attempts if each.points or each.scores]
    if not kept:
        tags = ", ".join(sorted(unknown)[:5]) or "no scalars"
        raise DataError(
            f"{paths[0]} has no loss, rate or accuracy of a known set, only {tags}",
            "tags such as loss, learning_rate and lfw are understood",
        )
    notes = [f"left out, for want of a place: {', '.join(sorted(unknown)[:12])}"] if unknown else []
    events = [each.events(1, 1) for each in kept]
    return LoggedRun(program="TensorBoard", facts={}, attempts=events, dated=True, notes=notes)


def read_scalars(path: Path) -> Iterator[Scalar]:
    """Yield the scalars of an event file up to where it is cut or damaged."""
    with open_regular(path, NAME_A_LOG, ours=False) as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size and _is_length(head):
            length, _ = _HEAD.unpack(head)
            data = file.read(length + _SUM)
            if length > _LARGEST or len(data) < length + _SUM:
                return  # not yet written, or cut
            try:
                yield from _scalars(memoryview(data)[:length])
            except (ValueError, struct.error):
                return


def _scalars(event: memoryview) -> Iterator[Scalar]:
    """The scalars of one ``Event``: wall_time 1, step 2, summary 5, session_log 7."""
    t, step, summaries, begins = 0.0, 0, [], False
    for field in fields(event):
        match field.number, field.value:
            case 1, memoryview() as value:
                (t,) = struct.unpack("<d", value)
            case 2, int() as value:
                step = value - (1 << 64) if value >> 63 else value
            case 5, memoryview() as value:
                summaries.append(value)
            case 7, memoryview() as value:  # SessionLog: status 1, of which START is 1
                begins = any(each.number == 1 and each.value == 1 for each in fields(value))
    if begins:
        yield Scalar(t, step, "", math.nan, True)
    for summary in summaries:
        for field in fields(summary):
            if field.number == 1 and isinstance(field.value, memoryview):
                tag, number = _value(field.value)
                if number is not None:
                    yield Scalar(t, step, tag, number)


def _value(message: memoryview) -> tuple[str, float | None]:
    """Tag and number of a ``Summary.Value``: tag 1, simple_value 2, tensor 8; None for what is no number."""
    tag, number = "", None
    for field in fields(message):
        match field.number, field.value:
            case 1, memoryview() as value:
                tag = _shown(bytes(value[:_LONGEST_TAG]).decode("utf-8", "replace"))
            case 2, memoryview() as value:
                (number,) = struct.unpack("<f", value)
            case 8, memoryview() as value:
                number = _tensor(value)
    return tag, number


def _shown(tag: str) -> str:
    return "".join(sign if sign.isprintable() else "?" for sign in clean(tag))


def _tensor(message: memoryview) -> float | None:
    """The only number of a ``TensorProto``: dtype 1, tensor_content 4, float_val 5, double_val 6."""
    kinds = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
    dtype, content = 0, b""
    for field in fields(message):
        match field.number, field.value:
            case 1, int() as value:
                dtype = value
            case ((4 | 5 | 6), memoryview() as value):
                content = bytes(value)
    kind = np.dtype(kinds.get(dtype, "V1"))
    return (
        float(np.frombuffer(content, kind)[0])
        if kind.kind in "fi" and len(content) == kind.itemsize
        else None
    )


def _take(scalar: Scalar, rows: dict[int, LoggedPoint], attempt: LoggedStart, chosen: dict[str, str]) -> bool:
    """Put a scalar where it belongs; returns whether it has a place.

    Of several tags for one place the first is `chosen`.
    """
    tag = scalar.tag.lower()
    if found := _OURS.match(tag):
        setattr(_score(attempt, found[1], scalar), found[2], scalar.value)
        return True
    if (found := _SET.search(tag)) and math.isfinite(scalar.value):
        share = scalar.value / 100 if scalar.value > 1 else scalar.value
        _score(attempt, found[1], scalar).accuracy = share
        return True
    name = next((name for name, pattern in _PLACES.items() if pattern.fullmatch(tag)), None)
    if name is None or chosen.setdefault(name, tag) != tag:
        return False
    row = rows.setdefault(scalar.step, LoggedPoint(scalar.step, 0, scalar.t))
    setattr(row, name, int(scalar.value) if name == "epoch" and math.isfinite(scalar.value) else scalar.value)
    return True


def _score(attempt: LoggedStart, name: str, scalar: Scalar) -> LoggedScore:
    return attempt.scores.setdefault((name, scalar.step), LoggedScore(name, scalar.step, scalar.t))


def _in_order(rows: dict[int, LoggedPoint]) -> list[LoggedPoint]:
    """Points in the order of their steps; a rate or an epoch holds until the next."""
    points = [rows[step] for step in sorted(rows)]
    lr, epoch = math.nan, 0
    for point in points:
        lr = point.lr = lr if math.isnan(point.lr) else point.lr
        epoch = point.epoch = point.epoch or epoch
    return points


def _is_length(head: bytes) -> bool:
    """Whether the first 12 bytes of a record are a length and its checksum."""
    return bool(_HEAD.unpack(head)[1] == _masked(_crc32c(head[:8])))


def _crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
