"""Writing events: one file per attempt and rank, appended a line at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import zlib
from pathlib import Path
from typing import Protocol

from arcterm.runs.events import Event, encode
from arcterm.runs.space import is_full

SEGMENT_BYTES = 64 << 20


class Sink(Protocol):
    """Where events go."""

    def write(self, event: Event) -> None:
        """Record one event."""

    def sync(self) -> None:
        """Make what was written durable."""

    def flush(self) -> bool:
        """Write what a full disk did not take; returns whether nothing is left."""


class NullJournal:
    """Discards events: for tests, and for ranks that do not report."""

    def write(self, event: Event) -> None:
        """Discard the event."""

    def sync(self) -> None:
        """Nothing to make durable."""

    def flush(self) -> bool:
        """Nothing is left."""
        return True


class Journal:
    """The events of one rank in one attempt: ``events/0001-r00000.jsonl``, then ``….000002.jsonl``.

    Each event is one write to a file opened for appending, so that a killed process leaves whole lines, but
    for a last one that the kernel may have cut at the end of a page. Writing is safe from several threads.
    Only this process ever appends to its files. Beside each lies a seal, ``….sum``: see `read_seal`.

    What a full disk does not take, a part of a line or whole ones, is held in order until `flush` or a later
    event finds room.
    """

    def __init__(self, directory: Path, attempt: int, rank: int) -> None:
        self._stem = directory / f"{attempt:04d}-r{rank:05d}"
        self._segment = 1
        self._size = self._crc = self._fd = 0
        self._held = b""
        self._path = Path()
        self._lock = threading.Lock()
        self._open()

    def write(self, event: Event) -> None:
        """Append one event; on a full disk it is held back."""
        line = encode(event)
        with self._lock:
            if self._size + len(self._held) + len(line) > SEGMENT_BYTES and self._append():
                self._next_segment()
            self._held += line
            self._append()

    def flush(self) -> bool:
        """Write what was held back; returns whether nothing is left."""
        with self._lock:
            return self._append()

    def sync(self) -> None:
        """Make the events durable against a power cut, and seal them; not those that are held back."""
        size, crc = self._size, self._crc
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            if not is_full(error):
                raise
            return
        with contextlib.suppress(OSError):  # without a seal a reader checks line by line
            seal_path(self._path).write_bytes(b"%d %08x\n" % (size, crc))

    def close(self) -> None:
        """Sync and close; raises OSError if the disk does not take what was held back."""
        if not self.flush():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self.sync()
        os.close(self._fd)

    def _append(self) -> bool:
        while self._held:
            try:
                written = os.write(self._fd, self._held)
            except OSError as error:
                if not is_full(error):
                    raise
                return False
            self._size, self._crc = self._size + written, zlib.crc32(self._held[:written], self._crc)
            self._held = self._held[written:]
        return True

    def _next_segment(self) -> None:
        self.sync()
        before, path = self._fd, self._path
        self._segment += 1
        try:
            self._open()
            os.close(before)
        except OSError as error:
            if not is_full(error):
                raise
            self._segment, self._path = self._segment - 1, path  # it grows until another can be made

    def _open(self) -> None:
        suffix = ".jsonl" if self._segment == 1 else f".{self._segment:06d}.jsonl"
        self._path = self._stem.with_name(self._stem.name + suffix)
        self._fd = os.open(
            self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600
        )
        self._size, self._crc = 0, 0


def seal_path(path: Path) -> Path:
    """Return the path of an event file's seal."""
    return path.with_suffix(".sum")


def read_seal(path: Path) -> tuple[int, int]:
    """Return how many bytes of an event file are sealed, and their CRC-32; (0, 0) if it has no seal.

    A CRC of the whole is checked in a hundredth of the time that those of its lines take.
    """
    try:
        size, crc = seal_path(path).read_bytes().split()
        return int(size), int(crc, 16)
    except (OSError, ValueError):
        return 0, 0
