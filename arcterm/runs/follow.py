"""Reading events while they are written: whole lines only, from where the last look ended."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from itertools import islice
from pathlib import Path

from arcterm.errors import DataError
from arcterm.files import open_regular
from arcterm.runs.essentials import Essentials, Part
from arcterm.runs.events import AnyEvent, decode
from arcterm.runs.state import damage
from arcterm.runs.store import Run
from arcterm.text import clean

_FILE = re.compile(r"(\d{4})-r(\d{5})(?:\.(\d{6}))?\.jsonl")


@dataclass
class _Tail:
    """One event file and how far it has been read."""

    attempt: int
    path: Path
    offset: int = 0
    inode: int = 0

    @property
    def changed(self) -> bool:
        """Whether the file was replaced or cut short since."""
        status = self._status()
        return status is not None and (status.st_ino != self.inode or status.st_size < self.offset)

    @property
    def written(self) -> bool:
        """Whether there is something to read."""
        status = self._status()
        return status is not None and stat.S_ISREG(status.st_mode) and status.st_size > self.offset

    @contextlib.contextmanager
    def open(self) -> Iterator[BufferedReader | None]:
        """The file at the first byte that was not read; None if there is none.

        Raises OSError, or `DataError` for what is no file.
        """
        status = self._status()
        if self.changed:
            self.inode, self.offset = status.st_ino if status else 0, 0
        if status is None or (status.st_size == self.offset and stat.S_ISREG(status.st_mode)):
            yield None
            return
        with open_regular(self.path) as file:
            file.seek(self.offset)
            yield file

    def lines(self) -> Iterator[bytes]:
        """The whole lines that were not read."""
        with self.open() as file:
            for line in file or ():
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                yield line

    def _status(self) -> os.stat_result | None:
        try:
            return self.path.stat()
        except FileNotFoundError:
            return None


@dataclass
class Follower:
    """The events of a run in order of attempt, then file; `corrupt` counts whole lines that were not events.

    A line without its line feed is not yet written and is left for the next look. A file that can't be read
    is passed over; `damaged` says why, by its name.
    """

    run: Run
    corrupt: int = 0
    damaged: dict[str, str] = field(default_factory=dict)
    _tails: dict[str, _Tail] = field(default_factory=dict)

    def events(self) -> Iterator[tuple[int, AnyEvent]]:
        """The events that were not read yet, as (attempt, event), each decoded when it is asked for."""
        for tail in self._files():
            with self._noting(tail):
                for line in tail.lines():
                    event = decode(line)
                    if event is None:
                        self.corrupt += 1
                    else:
                        yield tail.attempt, event

    def poll(self, limit: int | None = None) -> list[tuple[int, AnyEvent]]:
        """As `events`, at most `limit` if given."""
        return list(islice(self.events(), limit))

    def essentials(self, curve: bool = False, check: bool = False) -> list[tuple[int, AnyEvent]]:
        """Of the events that were not read yet those that `Summary` needs; the others count as read.

        With a `curve` also those that `Summary.sampled` needs. Unless all is to be checked, `corrupt` counts
        only what was met on the way.
        """
        found = Essentials(curve, check)
        for tail in reversed(self._files()):
            with self._noting(tail), tail.open() as file:
                if file is not None:
                    part = Part(tail.path, file.fileno(), tail.offset)
                    found.take(tail.attempt, part)
                    tail.offset = part.end
        self.corrupt += found.corrupt
        return found.events()

    def outdated(self) -> bool:
        """Whether an attempt has begun since files were read, or one of those was replaced or cut short."""
        newest = max((tail.attempt for tail in self._tails.values() if tail.offset), default=0)
        return newest > 0 and any(
            tail.changed if tail.offset else tail.attempt > newest and tail.written for tail in self._files()
        )

    @contextlib.contextmanager
    def _noting(self, tail: _Tail) -> Iterator[None]:
        """Note why a file can't be read, and go on."""
        try:
            yield
        except (DataError, OSError) as error:
            self.damaged[tail.path.name] = damage(self.run, error)
        else:
            self.damaged.pop(tail.path.name, None)

    def _files(self) -> list[_Tail]:
        try:
            names = [path.name for path in self.run.events.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            self.damaged["events"] = damage(self.run, error)
            return []
        for name in names:
            match = _FILE.fullmatch(name)
            if match and name not in self._tails:
                self._tails[name] = _Tail(int(match[1]), self.run.events / name)
        return [self._tails[name] for name in sorted(self._tails, key=_order)]


def _order(name: str) -> tuple[int, int, int]:
    match = _FILE.fullmatch(name)
    if match is None:
        raise ValueError(name)
    return int(match[1]), int(match[2]), int(match[3] or 1)


def read_tail(path: Path, lines: int, limit: int = 64 << 10) -> list[str]:
    """The last `lines` lines of a log, from at most its last `limit` bytes; control characters removed."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, path.stat().st_size - limit))
            text = file.read(limit).decode("utf-8", errors="replace")
    except (DataError, OSError):
        return []
    return [clean(line) for line in text.splitlines()[-lines:]]
