"""Lines of a log in text: without escapes and prefixes, with their time, and what each of them says."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from arcterm.files import open_regular
from arcterm.formats.trainlogs.logged import NAME_A_LOG
from arcterm.text import clean

_LONGEST = 1 << 16
_STAMPS = 64  # characters of a line in which a time is looked for
_STAMP = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d)[ T](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,6}))?")
NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf))"
_WHOLE = r"(\d{1,9})(?!\d)"  # more digits are no step, epoch or size
_FLAGS = re.IGNORECASE

_BATCH = re.compile(
    rf"Epoch\[{_WHOLE}\] Batch \[(?:\d+-)?{_WHOLE}\]\s+Speed: {NUMBER} samples/sec(.*)", _FLAGS
)
_VALUE = re.compile(rf"([A-Za-z][\w-]*)={NUMBER}", _FLAGS)
_SPEED = re.compile(rf"Speed:? {NUMBER} samples/sec", _FLAGS)
_STEP = re.compile(rf"Step:\s*{_WHOLE}")
_EPOCH = re.compile(rf"Epoch:\s*{_WHOLE}")
_LOSS = re.compile(rf"\bLoss:? {NUMBER}", _FLAGS)
_RATE = re.compile(rf"LearningRate:? {NUMBER}", _FLAGS)
_SCORE = re.compile(
    rf"\[([\w.@+-]{{1,60}})\]\[{_WHOLE}\](XNorm|Accuracy-Flip|Accuracy): {NUMBER}(?:\+-{NUMBER})?", _FLAGS
)
_ANCHOR = re.compile(rf"lr-batch-epoch: {NUMBER} {_WHOLE} {_WHOLE}", _FLAGS)
_CHANGED = re.compile(rf"lr change to {NUMBER}", _FLAGS)
_SHAPE = re.compile(rf"\({_WHOLE}L?, \d+L?(?:, \d+L?)*\)\s*$")
_LOADED = re.compile(r"\bver ([\w.@+-]+)\s*$")
_INFER = re.compile(rf"infer time {NUMBER}", _FLAGS)
_ARGUMENTS = re.compile(r"Called with argument: Namespace\((.*)\)")
_ARGUMENT = re.compile(r"(\w+)=('[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,]*)")
_OPENING = re.compile(rf"\b(gpu num: ?{_WHOLE}|use cpu)\s*$")
_SETTING = re.compile(r"(?:^|[-:\s]): (\w+)\s{2,}(\S.*)$")
_MILESTONES = re.compile(r"\blr_steps (\[[\d, ]*\])")


class LogLine(NamedTuple):
    """A whole line, cleaned, and its time in seconds since 1970; NaN if it has none."""

    t: float
    text: str


class Said(NamedTuple):
    """What a line says: its `kind` and the values that belong to it."""

    kind: str
    values: tuple[object, ...] = ()


def read_lines(path: Path) -> Iterator[LogLine]:
    """Yield the lines of a log; a last one without its line feed may be cut and is left out."""
    with open_regular(path, NAME_A_LOG, ours=False) as file:
        while line := file.readline(_LONGEST):
            if not line.endswith(b"\n"):
                if len(line) < _LONGEST:
                    return
                continue  # part of a line that no program of those writes
            # a counter that is drawn in place leaves its versions in one line
            for text in line.decode("utf-8", "replace").rstrip("\r\n").split("\r"):
                shown = clean(text)
                yield LogLine(_time(shown[:_STAMPS]), shown)


def parse_line(text: str) -> Said | None:
    """Return what a line says; None for one that is none of the programs'."""
    if found := _BATCH.search(text):
        values = {name.lower(): float(value) for name, value in _VALUE.findall(found[4])}
        return Said("batch", (int(found[1]), int(found[2]), float(found[3]), values))
    if (speed := _SPEED.search(text)) and (step := _STEP.search(text)):
        return Said(
            "step",
            (
                int(step[1]),
                _integer(_EPOCH, text),
                _number(_LOSS, text),
                _number(_RATE, text),
                float(speed[1]),
            ),
        )
    if found := _SCORE.search(text):
        std = float(found[5]) if found[5] else math.nan
        return Said("score", (found[1], int(found[2]), found[3].lower(), float(found[4]), std))
    if found := _ANCHOR.search(text):
        return Said("anchor", (float(found[1]), int(found[2]), int(found[3])))
    return _parse_rest(text)


def _parse_rest(text: str) -> Said | None:  # noqa: PLR0911
    if found := _CHANGED.search(text):
        return Said("rate", (float(found[1]),))
    if found := _SHAPE.search(text):
        return Said("shape", (int(found[1]),))
    if found := _INFER.search(text):
        return Said("infer", (float(found[1]),))
    if found := _LOADED.search(text):
        return Said("loaded", (found[1],))
    if found := _ARGUMENTS.search(text):
        facts = {name: value.strip().strip("'\"") for name, value in _ARGUMENT.findall(found[1])}
        return Said("facts", (facts,))
    if found := _MILESTONES.search(text):
        return Said("facts", ({"lr_steps": found[1].strip("[]")},))
    if found := _OPENING.search(text):
        return Said("facts", ({"gpus": found[2] or "0"},))
    if found := _SETTING.search(text):
        return Said("facts", ({found[1]: found[2].strip()},))
    return None


def _number(pattern: re.Pattern[str], text: str) -> float:
    found = pattern.search(text)
    return float(found[1]) if found else math.nan


def _integer(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else 0


def _time(text: str) -> float:
    found = _STAMP.search(text)
    if not found:
        return math.nan
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    micro = int((found[7] or "0").ljust(6, "0"))
    try:
        return datetime.datetime(
            year, month, day, hour, minute, second, micro, tzinfo=datetime.UTC
        ).timestamp()
    except ValueError:  # no such day
        return math.nan
