"""RecordIO, MXNet's container: framed records in one file, found by the byte offsets of an index.

A record is one or more parts, each ``magic u32, lrec u32, payload, zeros to 4 bytes`` (little-endian). The
top 3 bits of lrec say which part it is, the low 29 its length. A payload that holds the magic at a multiple
of 4 is split there and the magic dropped, so that a scan for the magic finds only true beginnings.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from arcterm import files
from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer

MAGIC = 0xCED7230A
MAGIC_BYTES = MAGIC.to_bytes(4, "little")
WHOLE, FIRST, MIDDLE, LAST = range(4)

_FRAME = struct.Struct("<II")
_LENGTH_BITS = 29
_LENGTH_MASK = (1 << _LENGTH_BITS) - 1


class RecordFile:
    """A RecordIO file, memory-mapped for reading; safe to read from several threads.

    Raises `DataError` if the file is missing or empty. Payloads are views into the mapping, which
    lives as long as any of them.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map = map_file(path)
        self.view = memoryview(self._map)

    def __len__(self) -> int:
        """Size of the file in bytes."""
        return len(self._map)

    def at(self, offset: int, record: str = "the record") -> memoryview:
        """The payload of the record that begins at byte `offset`; `record` names it in a message.

        Raises `DataError` if no whole, well-formed record lies there.
        """
        return self.read(offset, record)[0]

    def span(self, offset: int, record: str = "the record") -> memoryview:
        """All bytes of the record that begins at byte `offset`, frames and padding included; raises as `at`.

        At the end of the file padding may be missing.
        """
        return self.view[offset : self.read(offset, record)[1]]

    def scan(self, offset: int = 0, number: int = 0) -> Iterator[tuple[int, memoryview]]:
        """Every record in file order as (byte offset, payload), found without an index; raises as `at`.

        It begins with record `number`, which lies at `offset`.
        """
        while offset < len(self._map):
            payload, end = self.read(offset, f"record {number}")
            yield offset, payload
            offset, number = end, number + 1

    def read(self, offset: int, record: str | int = "the record") -> tuple[memoryview, int]:
        """The payload of the record that begins at byte `offset`, and the byte after its padding.

        `record` names it in a message, by its key or in words.
        """
        flag, start, end = self._part(offset, record)
        if flag == WHOLE:
            return self.view[start:end], _align(end)
        if flag != FIRST:
            raise self._error(offset, record, "begins in the middle of a split record")
        parts = [self.view[start:end]]
        while flag != LAST:
            flag, start, end = self._part(_align(end), record)
            if flag not in (MIDDLE, LAST):
                raise self._error(offset, record, "is split and its last part is missing")
            parts.append(self.view[start:end])
        return memoryview(MAGIC_BYTES.join(parts)), _align(end)

    def begins(self, offset: int) -> bool:
        """Whether a record begins at byte `offset`, or the file ends before it."""
        if offset > len(self._map) - _FRAME.size:
            return offset >= len(self._map)
        magic, lrec = _FRAME.unpack_from(self._map, offset)
        return bool(magic == MAGIC and lrec >> _LENGTH_BITS in (WHOLE, FIRST))

    def _part(self, offset: int, record: str | int) -> tuple[int, int, int]:
        """(flag, first byte, one past the last byte) of the part whose frame is at `offset`."""
        if not 0 <= offset <= len(self._map) - _FRAME.size:
            raise self._error(offset, record, f"lies outside the file of {len(self._map)} bytes")
        magic, lrec = _FRAME.unpack_from(self._map, offset)
        if magic != MAGIC:
            raise self._error(offset, record, "doesn't begin with the RecordIO magic")
        start = offset + _FRAME.size
        end = start + (lrec & _LENGTH_MASK)
        if end > len(self._map):
            raise self._error(offset, record, f"ends {end - len(self._map)} bytes after the file's end")
        return lrec >> _LENGTH_BITS, start, end

    def _error(self, offset: int, record: str | int, what: str) -> DataError:
        name = f"key {record}" if isinstance(record, int) else record
        return DataError(
            f"{self.path}: {name} at byte {offset} {what}",
            "the file is cut short or damaged, or its index is another file's: copy both again, together; "
            f"`arcterm data check {self.path.parent}` names all that is wrong",
        )


class RecordWriter:
    """Writes records as MXNet's writer does, byte for byte, and with `index` ``key<TAB>offset`` lines."""

    def __init__(
        self, path: Path, index: Path | None = None, *, resume: tuple[int, int] | None = None
    ) -> None:
        """With `resume`, (bytes of the records, bytes of the index), go on after those of existing files."""
        self._file: BinaryIO = path.open("r+b" if resume else "wb")
        self._index: BinaryIO | None = index.open("r+b" if resume else "wb") if index else None
        for file, size in zip((self._file, self._index), resume or (), strict=False):
            if file:
                file.truncate(size)
                file.seek(size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def write(self, key: int, payload: bytes) -> int:
        """Append a record and return its byte offset; raises `ValueError` if a part is 512 MiB or longer."""
        return self.write_framed(key, framed(payload))

    def write_framed(self, key: int, record: bytes) -> int:
        """Append a record that is `framed` already."""
        offset = self._file.tell()
        self._file.write(record)
        if self._index:
            self._index.write(b"%d\t%d\n" % (key, offset))
        return offset

    def sync(self) -> tuple[int, int]:
        """Make what was written durable; returns the sizes that a resume goes on from."""
        sizes = []
        for file in (self._file, self._index):
            if file:
                files.sync(file)
            sizes.append(file.tell() if file else 0)
        return sizes[0], sizes[1]

    def close(self) -> None:
        """Close both files, the index even if the records can't be flushed."""
        try:
            self._file.close()
        finally:
            if self._index:
                self._index.close()


def framed(payload: bytes) -> bytes:
    """`payload` as it lies in the file: split at every 4-byte-aligned magic, framed and padded."""
    words = np.frombuffer(payload, "<u4", count=len(payload) // 4)
    cuts = [int(word) * 4 for word in np.flatnonzero(words == MAGIC)]
    starts, ends = [0, *(cut + 4 for cut in cuts)], [*cuts, len(payload)]
    flags = [FIRST, *[MIDDLE] * (len(cuts) - 1), LAST] if cuts else [WHOLE]
    parts = [_frame_part(flag, payload[a:b]) for flag, a, b in zip(flags, starts, ends, strict=True)]
    return b"".join(parts)


def _frame_part(flag: int, part: bytes) -> bytes:
    if len(part) > _LENGTH_MASK:
        raise ValueError(f"a record part of {len(part)} bytes doesn't fit RecordIO's 29-bit length")
    return _FRAME.pack(MAGIC, flag << _LENGTH_BITS | len(part)) + part + bytes(-len(part) % 4)


def _align(offset: int) -> int:
    return offset + (-offset % 4)


def map_file(path: Path) -> mmap.mmap:
    """`path` mapped for reading; raises `DataError` if it is missing, unreadable or empty."""
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
        raise DataError(f"{path} is not a file", "give the path of a file")
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:
        raise DataError(f"{path} is empty", "copy or make it again") from None
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "check the path and its permissions"
        ) from None
    refuse_pointer(mapped[:64], path)
    return mapped
