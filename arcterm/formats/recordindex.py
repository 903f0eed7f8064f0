"""The ``.idx`` file beside a RecordIO file: one ``key<TAB>byte offset`` line per record, in any order."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError

# Possessive, so that millions of lines leave nothing to backtrack to; 18 digits always fit an int64.
_LINES = re.compile(rb"(?:[0-9]{1,18}\t[0-9]{1,18}(?:\r?\n|\Z))*+")


class RecordIndex:
    """Keys and byte offsets, (R,) int64 each, in ascending order of key."""

    def __init__(self, path: Path, keys: NDArray[np.int64], offsets: NDArray[np.int64]) -> None:
        order = np.argsort(keys, kind="stable")
        self.path = path
        self.keys, self.offsets = keys[order], offsets[order]
        repeated = np.flatnonzero(self.keys[1:] == self.keys[:-1])
        if repeated.size:
            raise DataError(
                f"{path} lists key {self.keys[repeated[0]]} twice", "make the index again with rec2idx"
            )

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: int) -> bool:
        return self._position(key) is not None

    def offset(self, key: int) -> int:
        """Byte offset of the record `key`; raises `DataError` if the index lacks it."""
        position = self._position(key)
        if position is None:
            raise DataError(
                f"{self.path} lacks key {key}", "the index belongs to another file: copy both again"
            )
        return int(self.offsets[position])

    def dense(self, first: int, last: int) -> NDArray[np.int64]:
        """Offsets (last - first,) of the keys first … last - 1; raises `DataError` naming a missing one."""
        start, stop = np.searchsorted(self.keys, [first, last])
        found = self.keys[start:stop]
        if len(found) != last - first:
            # Keys are distinct and sorted: the first that isn't where it would be comes after a gap.
            gap = np.flatnonzero(found != np.arange(first, first + len(found)))
            missing = first + (int(gap[0]) if gap.size else len(found))
            raise DataError(
                f"{self.path} lacks key {missing}; the header record promises images {first} to {last - 1}",
                "the index is incomplete or another file's: copy train.rec and train.idx again, together",
            )
        return self.offsets[start:stop]

    def _position(self, key: int) -> int | None:
        position = int(np.searchsorted(self.keys, key))
        return position if position < len(self.keys) and self.keys[position] == key else None


def read_index(path: Path, size: int) -> RecordIndex:
    """Read the index of a RecordIO file of `size` bytes.

    Raises `DataError` naming the line if one isn't ``key<TAB>offset`` or its offset is outside the file.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "check the path and its permissions"
        ) from None
    if not text.strip():
        raise DataError(f"{path} is empty", "copy or make it again")
    match = _LINES.match(text)
    end = match.end() if match else 0
    if end != len(text):
        line = text.count(b"\n", 0, end) + 1
        raise DataError(f"{path} line {line} isn't 'key<TAB>byte offset'", "copy or make the index again")
    rows = np.fromstring(text.decode("ascii"), dtype=np.int64, sep=" ").reshape(-1, 2)
    outside = np.flatnonzero(rows[:, 1] >= size)
    if outside.size:
        line, (key, offset) = int(outside[0]), rows[outside[0]]
        raise DataError(
            f"{path} line {line + 1}: byte {offset} of key {key} is outside the record file of {size} bytes",
            "the record file is cut short or belongs to another index: copy both again, together",
        )
    return RecordIndex(path, rows[:, 0], rows[:, 1])
