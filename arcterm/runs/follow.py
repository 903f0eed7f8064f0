"""Reading events while they are written: whole lines only, from where the last look ended."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from arcterm.errors import DataError
from arcterm.files import open_regular
from arcterm.runs.events import AnyEvent, decode
from arcterm.runs.state import damage
from arcterm.runs.store import Run
from arcterm.text import clean

_FILE = re.compile(r"(\d{4})-r(\d{5})(?:\.(\d{6}))?\.jsonl")
_CHUNK = 1 << 20


@dataclass
class _Tail:
    """One event file and how far it has been read."""

    attempt: int
    path: Path
    offset: int = 0
    inode: int = 0


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

    def poll(self, limit: int | None = None) -> list[tuple[int, AnyEvent]]:
        """Events since the last poll as (attempt, event), at most about `limit` if given."""
        found: list[tuple[int, AnyEvent]] = []
        for tail in self._files():
            try:
                self._read(tail, found, limit)
            except (DataError, OSError) as error:
                self.damaged[tail.path.name] = damage(self.run, error)
            else:
                self.damaged.pop(tail.path.name, None)
            if limit is not None and len(found) >= limit:
                break
        return found

    def _read(self, tail: _Tail, found: list[tuple[int, AnyEvent]], limit: int | None) -> None:
        for line in self._lines(tail):
            event = decode(line)
            if event is None:
                self.corrupt += 1
            else:
                found.append((tail.attempt, event))
            if limit is not None and len(found) >= limit:
                return

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

    @staticmethod
    def _lines(tail: _Tail) -> Iterator[bytes]:
        try:
            status = tail.path.stat()
        except FileNotFoundError:
            return
        if status.st_ino != tail.inode or status.st_size < tail.offset:
            tail.inode, tail.offset = status.st_ino, 0
        if status.st_size == tail.offset and stat.S_ISREG(status.st_mode):
            return
        with open_regular(tail.path) as file:
            file.seek(tail.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                tail.offset += len(line)
                yield line


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
