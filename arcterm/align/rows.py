"""The lines of ``align.jsonl``: one for each photo, written as photos are done and put in order at the end.

Each rank adds to a file of its own in the job's directory, a line at a time, so that a stopped or killed job
knows what is done. Such a line begins with the photo's number, the bytes of the files that were made of it,
and the bytes of the rest, by which a torn line shows.
"""

from __future__ import annotations

import errno
import mmap
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

_FILES = "rows-*.jsonl"


class Row(msgspec.Struct, kw_only=True, frozen=True):
    """One photo. `boxes` are x1, y1, x2, y2 and `points` five x, y of each face that was found.

    `face` is the place of the one that was aligned, from 0; None for a crop, nothing, or all of them. `files`
    are what was made, below the new folder.
    """

    path: str
    faces: int = 0
    boxes: list[list[float]] = []
    points: list[list[list[float]]] = []
    scores: list[float] = []
    face: int | None = None
    treated: str
    reason: str = ""
    files: list[str] = []


class RowWriter:
    """Adds the rows of one rank; from several threads."""

    def __init__(self, folder: Path, rank: int) -> None:
        path = folder / f"rows-{rank}.jsonl"
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":  # a crash tore the last one
            os.write(self._file, b"\n")

    def add(self, number: int, sizes: Sequence[int], row: Row) -> None:
        text = msgspec.json.encode(row)
        line = b"%d\t%s\t%d\t%s\n" % (number, ",".join(map(str, sizes)).encode(), len(text), text)
        with self._lock:
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        os.close(self._file)


class RowReader:
    """The rows of all ranks, by number; only their places are held in memory."""

    def __init__(self, folder: Path, total: int) -> None:
        self._maps: list[mmap.mmap] = []
        self._places = np.full((total, 3), -1, np.int64)  # file, first and last byte
        for path in sorted(folder.glob(_FILES)):
            if path.stat().st_size:
                with path.open("rb") as file:
                    self._index(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))

    def _index(self, data: mmap.mmap) -> None:
        self._maps.append(data)
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            fields = data[start:end].split(b"\t", 3)
            if len(fields) == 4 and fields[2].isdigit() and int(fields[2]) == len(fields[3]):
                number = int(fields[0])
                if number < len(self._places):
                    self._places[number] = len(self._maps) - 1, start, end
            start = end + 1

    def text(self, number: int) -> bytes:
        """The JSON of a row."""
        return self._fields(number)[3]

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """Number and JSON of each row, in order."""
        for number in np.flatnonzero(self._places[:, 0] >= 0).tolist():
            yield number, self.text(number)

    def done(self, stage: Path) -> set[int]:
        """The numbers of the photos whose files lie whole in `stage`: after a crash some may not."""
        found = set()
        for number, text in self:
            sizes = self._fields(number)[1].decode()
            files = msgspec.json.decode(text, type=Row).files
            if [_size(stage / name) for name in files] == [int(n) for n in sizes.split(",") if n]:
                found.add(number)
        return found

    def close(self) -> None:
        for data in self._maps:
            data.close()

    def _fields(self, number: int) -> list[bytes]:
        place, start, end = self._places[number].tolist()
        line: bytes = self._maps[place][start:end]
        return line.split(b"\t", 3)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
