"""Writing events: one file per attempt and rank, appended a line at a time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from arcterm.runs.events import Event, encode

SEGMENT_BYTES = 64 << 20


class Sink(Protocol):
    """Where events go."""

    def write(self, event: Event) -> None:
        """Record one event."""

    def sync(self) -> None:
        """Make what was written durable."""


class NullJournal:
    """Does nothing: for tests and for ranks that have nothing to say."""

    def write(self, event: Event) -> None:
        """Forget the event."""

    def sync(self) -> None:
        """Nothing to make durable."""


class Journal:
    """The events of one rank in one attempt: ``events/0001-r00000.jsonl``, then ``….000002.jsonl``.

    Each event is one write to a file opened for appending, so that a killed process leaves whole lines, but
    for a last one that the kernel may have cut at the end of a page. Writing is safe from several threads.
    Nobody ever appends to another writer's file.
    """

    def __init__(self, directory: Path, attempt: int, rank: int) -> None:
        self._stem = directory / f"{attempt:04d}-r{rank:05d}"
        self._segment = 1
        self._size = 0
        self._fd = self._open()

    def write(self, event: Event) -> None:
        """Append one event."""
        line = encode(event)
        if self._size + len(line) > SEGMENT_BYTES:
            self.close()
            self._segment, self._size = self._segment + 1, 0
            self._fd = self._open()
        self._size += os.write(self._fd, line)

    def sync(self) -> None:
        """Make the events durable against a power cut."""
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Sync and close."""
        self.sync()
        os.close(self._fd)

    def _open(self) -> int:
        suffix = ".jsonl" if self._segment == 1 else f".{self._segment:06d}.jsonl"
        path = self._stem.with_name(self._stem.name + suffix)
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
