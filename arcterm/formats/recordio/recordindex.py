"""The ``.idx`` file beside a RecordIO file: one ``key<TAB>byte offset`` line per record, in any order.

Reading millions of lines takes seconds, so the sorted columns of a large index are kept in the cache and
mapped from then on: opened in milliseconds, and in memory once for all processes.
"""

from __future__ import annotations

import re
import struct
import zlib
from codecs import BOM_UTF8
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm import cache
from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.recordio.container import map_file

# Possessive, so that millions of lines leave nothing to backtrack to; 18 digits always fit an int64.
_LINES = re.compile(rb"(?:[0-9]{1,18}\t[0-9]{1,18}(?:\r?\n|\Z))*+")
_CACHED_FROM = 1 << 20  # bytes; a smaller index is read in less time than a cache is worth
_HEAD = struct.Struct("<8sQI4x")
_MAGIC = b"ARCIDX1\n"


class RecordIndex:
    """Keys and byte offsets, (R,) int64 each, in ascending order of key."""

    def __init__(self, path: Path, keys: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        self.path = path
        self.keys, self.offsets = keys, offsets

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: int) -> bool:
        return self.position(key) is not None

    def offset(self, key: int) -> int:
        """Byte offset of the record `key`; raises `DataError` if the index lacks it."""
        position = self.position(key)
        if position is None:
            raise DataError(
                f"{self.path} lacks key {key}", "the index belongs to another file: copy both again"
            )
        return int(self.offsets[position])

    def dense(self, first: int, last: int, what: str = "images") -> slice:
        """Slice of the keys first … last - 1, those of `what`; raises `DataError` naming a missing one."""
        start, stop = (int(n) for n in np.searchsorted(self.keys, [first, last]))
        found = self.keys[start:stop]
        if len(found) != last - first:
            # Keys are distinct and sorted: the first that isn't where it would be comes after a gap.
            gap = np.flatnonzero(found != np.arange(first, first + len(found)))
            missing = first + (int(gap[0]) if gap.size else len(found))
            raise DataError(
                f"{self.path} lacks key {missing}; the header record promises {what} {first} to {last - 1}",
                "the index is incomplete or another file's: copy train.rec and train.idx again, together",
            )
        return slice(start, stop)

    def position(self, key: int) -> int | None:
        """Position of `key` in ascending order of keys; None if it isn't there."""
        position = int(np.searchsorted(self.keys, key))
        return position if position < len(self.keys) and self.keys[position] == key else None


def read_index(path: Path, size: int) -> RecordIndex:
    """Read the index of a RecordIO file of `size` bytes, from the cache if it was read before.

    Raises `DataError` naming the line if one isn't ``key<TAB>offset`` or its offset is outside, and a key or
    an offset that is there twice.
    """
    place = _cache_path(path)
    columns = _load_columns(place) if place else None
    if columns is None:
        columns = _parse(path, size)
        if place:
            data = columns.astype("<i8").tobytes()
            cache.keep(place, _HEAD.pack(_MAGIC, columns.shape[1], zlib.crc32(data)) + data)
    index = RecordIndex(path, columns[0], columns[1])
    last = int(index.offsets.argmax())
    if index.offsets[last] >= size:  # of a cached one: the record file has shrunk since
        raise _offset_error(path, "", int(index.keys[last]), int(index.offsets[last]), size)
    return index


def _parse(path: Path, size: int) -> NDArray[np.int64]:
    """(2, R) int64: keys in ascending order and their offsets."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", _recovery_hint(path)) from None
    refuse_pointer(text, path)
    text = text.removeprefix(BOM_UTF8)
    if not text.strip():
        raise DataError(f"{path} is empty", _recovery_hint(path))
    match = _LINES.match(text)
    end = match.end() if match else 0
    if end != len(text):
        line = text.count(b"\n", 0, end) + 1
        raise DataError(f"{path} line {line} isn't 'key<TAB>byte offset'", _recovery_hint(path))
    rows = np.fromstring(text.decode("ascii"), dtype=np.int64, sep=" ").reshape(-1, 2)
    outside = np.flatnonzero(rows[:, 1] >= size)
    if outside.size:
        line = int(outside[0])
        raise _offset_error(path, f" line {line + 1}", int(rows[line, 0]), int(rows[line, 1]), size)
    columns = np.ascontiguousarray(rows[np.argsort(rows[:, 0], kind="stable")].T)
    repeated = np.flatnonzero(columns[0, 1:] == columns[0, :-1])
    if repeated.size:
        raise DataError(f"{path} lists key {columns[0, repeated[0]]} twice", _recovery_hint(path))
    places = np.sort(columns[1])
    shared = np.flatnonzero(places[1:] == places[:-1])
    if shared.size:
        raise DataError(f"{path} lists byte {places[shared[0]]} for two keys", _recovery_hint(path))
    return columns


def _recovery_hint(path: Path) -> str:
    return f"copy it again, or move it away and run `arcterm data index {path.parent}`, which makes it"


def _offset_error(path: Path, line: str, key: int, offset: int, size: int) -> DataError:
    return DataError(
        f"{path}{line}: byte {offset} of key {key} is outside the record file of {size} bytes, "
        f"{path.with_suffix('.rec').name}",
        "the record file is cut short or belongs to another index: copy both again, together",
    )


def _cache_path(path: Path) -> Path | None:
    """Path of this index's columns in the cache; None if it isn't worth it."""
    if not path.is_file() or path.stat().st_size < _CACHED_FROM:  # reading it will say if it can't be
        return None
    return cache.place("index", [path])


def _load_columns(place: Path) -> NDArray[np.int64] | None:
    """The cached columns, mapped; None if there are none or they are damaged."""
    try:
        data = memoryview(map_file(place))
    except DataError:
        return None
    if len(data) < _HEAD.size:
        return None
    magic, count, crc = _HEAD.unpack_from(data)
    if magic != _MAGIC or len(data) != _HEAD.size + 16 * count or zlib.crc32(data[_HEAD.size :]) != crc:
        return None
    return np.frombuffer(data, "<i8", offset=_HEAD.size).reshape(2, count)
