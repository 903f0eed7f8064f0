"""Finding, among a run's events, the few in a thousand that say how far it is.

Nearly all lines are steps, or reports of ranks and GPUs, of which the newest count. The end of a file is
decoded in full. Before it, a regular expression passes over such lines by their first bytes, and every other
line is decoded. A `Summary` of what is found says the same as one of all events.
"""

from __future__ import annotations

import math
import os
import re
import sys
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from arcterm.runs.events import AnyEvent, Phase, Start, Step, decode, problem
from arcterm.runs.journal import read_seal

PACE_STEPS = 50
"""The pace of a run is that of its last so many steps."""

_END_BYTES, _BLOCK = 64 << 10, 1 << 20
_STEP, _PHASE = b'{"k":"step","step":', b'{"k":"phase",'
_REPORT = re.compile(rb'\{"k":"(?:rank","rank":\d+,|gpus","host":"[^"\\]*")')
_LINE = re.compile(rb"\n(?!\Z)([^\n]*)")


def sampled_zeros(step: int) -> int:
    """How many zeros the numbers of the steps end in that a small chart shows, when `step` is the newest.

    It shows each of 9,999 steps, and 1,000 to 9,999 of more.
    """
    return max(0, len(str(step)) - 4)


@dataclass
class Part:
    """An event file from byte `start` on.

    `events` are those found, by the byte of their line; `corrupt` counts lines that are none, by reason. The
    lines from byte `split` to byte `end` are all decoded, of those before it the ones that are asked for.
    """

    path: Path
    fd: int
    start: int
    split: int = 0
    end: int = 0
    events: dict[int, AnyEvent] = field(default_factory=dict)
    corrupt: Counter[str] = field(default_factory=Counter)
    _passed: set[bytes] = field(default_factory=set)

    def read_end(self, sealed: int = sys.maxsize) -> None:
        """Decode the last lines, and all those that the first `sealed` bytes do not hold."""
        size = os.fstat(self.fd).st_size
        self.split = self.start
        if size - self.start > _END_BYTES:
            split = min(size - _END_BYTES, max(sealed, self.start + 1))
            while (
                begins := os.pread(self.fd, size - split + 1, split - 1).find(b"\n")
            ) < 0 and split > self.start + 1:
                split = max(self.start + 1, 2 * split - size)  # the line is longer
            self.split = split + begins
        self.end = self.split
        for at, data, length in self._blocks(self.split, size):
            self.end = at + length
            for match in _LINE.finditer(data, 0, length):
                report = _REPORT.match(match[1])
                if self._take(at + match.start(1), match[1]) and report:
                    self._passed.add(report[0])

    def read_rest(self, zeros: int | None, seal: tuple[int, int] | None) -> None:
        """Decode what else counts before `split`; steps whose number ends in so many `zeros`, if given.

        With a `seal`, as `read_seal` gives it, `corrupt` counts also the lines that are passed over.
        """
        passed = [re.escape(prefix[6:]) for prefix in self._passed]  # they all begin with {"k":"
        if zeros != 0:
            passed.append(re.escape(_STEP[6:]) + (rb"(?!\d*%b,)" % (b"0" * zeros) if zeros else b""))
        wanted = re.compile(rb'\n(?!\{"k":"(?:%b)|\Z)([^\n]*)' % b"|".join(passed or [rb"(?!)"]))
        crc, phases = 0, []
        for at, data, length in self._blocks(self.start, self.split):
            crc = zlib.crc32(memoryview(data)[1:length], crc) if seal else 0
            for match in wanted.finditer(data, 0, length):
                if match[1].startswith(_PHASE):
                    phases.append((at + match.start(1), match[1]))
                else:
                    self._take(at + match.start(1), match[1])
        self._take_stage(phases)
        if seal is not None:
            size, expected = seal
            if (
                size < self.split
                or zlib.crc32(os.pread(self.fd, size - self.split, self.split), crc) != expected
            ):
                self._check_passed()

    def first_step(self) -> Step | None:
        """Take the first step before `split`."""
        for at, data, length in self._blocks(self.start, self.split):
            found = data.find(b"\n" + _STEP, 0, length)
            while found >= 0:
                event = decode(data[found + 1 : data.index(b"\n", found + 1)])
                if isinstance(event, Step):
                    self.events[at + found + 1] = event
                    return event
                found = data.find(b"\n" + _STEP, found + 1, length)
        return None

    def steps_back(self) -> Iterator[tuple[int, Step]]:
        """The steps before `split` as (byte, step), newest first."""
        stop, most = self.split, _END_BYTES
        while stop > self.start:
            at = max(self.start, stop - most)
            data = os.pread(self.fd, stop - at, at)
            skipped = 0 if at == self.start else data.find(b"\n") + 1  # the rest of a line
            if at > self.start and skipped == len(data):
                most *= 2  # the line is longer
                continue
            for line in reversed(data[skipped:-1].split(b"\n")) if _STEP in data else ():
                stop -= len(line) + 1
                if line.startswith(_STEP) and isinstance(event := decode(line), Step):
                    yield stop, event
            stop, most = at + skipped, _END_BYTES

    def _take(self, at: int, line: bytes) -> bool:
        event = decode(line)
        if event is None:
            self.corrupt[problem(line)] += 1
            return False
        self.events[at] = event
        return True

    def _take_stage(self, lines: list[tuple[int, bytes]]) -> None:
        """Of the phases before `split` those since the newest of all began, and the one before."""
        known = [event for _, event in sorted(self.events.items()) if isinstance(event, Phase)]
        if any(_begins(before, after) for before, after in pairwise(known)):
            return
        later = known[0] if known else None
        for at, line in reversed(lines):
            event = decode(line)
            if isinstance(event, Phase):
                self.events[at] = event
                if later is not None and _begins(event, later):
                    return
                later = event

    def _check_passed(self) -> None:
        """Count the lines before `split` that are corrupt and were not decoded."""
        prefixes = (*self._passed, _STEP, _PHASE)
        for _, data, length in self._blocks(self.start, self.split):
            self.corrupt.update(
                problem(line)
                for line in data[1 : length - 1].split(b"\n")
                if line[-18:] != b',"crc":"%08x"}' % zlib.crc32(line[:-18]) and line.startswith(prefixes)
            )

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, bytes, int]]:
        """Whole lines as (byte, data, length): ``data[:length]`` is a line feed and the lines after it."""
        at, most = start - 1, _BLOCK
        while at < stop - 1:
            first = b"\n" * (at < 0)
            data = first + os.pread(self.fd, min(most, stop - at) - len(first), at + len(first))
            length = data.rfind(b"\n") + 1
            if length > 1:
                yield at, data, length
                at, most = at + length - 1, _BLOCK
            elif len(data) < most:
                return
            else:
                most *= 2  # the line is longer


def _begins(before: Phase, after: Phase) -> bool:
    """Whether `after` is not the same phase as `before`, further on."""
    return before.phase != after.phase or after.done < before.done


class Essentials:
    """The essential events of a run, from the parts of its event files.

    Parts are taken from the newest to the oldest, so that it is known which steps a later attempt made again.
    """

    def __init__(self, curve: bool, check: bool) -> None:
        self.corrupt: Counter[str] = Counter()
        self._curve = curve
        self._check = check
        self._found: list[list[tuple[int, AnyEvent]]] = []
        self._attempt = 0
        self._began: float = math.inf  # the step that the attempt went on from
        self._limit: float = math.inf  # later steps of files before were made again
        self._missing = PACE_STEPS
        self._newest = 0

    def take(self, attempt: int, part: Part) -> None:
        """Take in a part."""
        if attempt != self._attempt:
            self._limit = min(self._limit, self._began)
            self._attempt, self._began = attempt, math.inf
        seal = read_seal(part.path) if self._check else None
        part.read_end(seal[0] if seal and seal[0] else sys.maxsize)
        if part.split > part.start:
            first = part.first_step()
            self._take_steps(part, first)
            part.read_rest(sampled_zeros(self._newest) if self._curve else None, seal)
        else:
            self._take_steps(part, None)
        events = [event for _, event in sorted(part.events.items())]
        self._began = next((event.step for event in events if isinstance(event, Start)), self._began)
        self._limit = min([self._limit, *(event.step - 1 for event in events if isinstance(event, Step))])
        self._found.append([(attempt, event) for event in events])
        self.corrupt += part.corrupt

    def events(self) -> list[tuple[int, AnyEvent]]:
        """(attempt, event), oldest first."""
        return [pair for found in reversed(self._found) for pair in found]

    def _take_steps(self, part: Part, first: Step | None) -> None:
        """Take the newest step of the part, and those of the last `PACE_STEPS` that are in it."""
        seen = [
            event.step for at, event in part.events.items() if at >= part.split and isinstance(event, Step)
        ]
        kept = [step for step in seen if step <= self._limit]
        self._missing -= len(kept)
        if first is not None and (not seen or (self._missing > 0 and first.step <= self._limit)):
            for at, event in part.steps_back():
                if event.step <= self._limit:
                    kept.append(event.step)
                    self._missing -= 1
                if event.step <= self._limit or not seen:
                    part.events[at] = event
                seen.append(event.step)
                if self._missing <= 0 or first.step > self._limit:
                    break
        self._newest = self._newest or max(kept, default=0)
