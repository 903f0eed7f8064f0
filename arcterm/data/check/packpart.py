"""A face pack as a check reads it: record by record, whatever is broken in it.

Training opens a pack by `formats.facepack`, which refuses one whose files contradict one another. Here each
contradiction is a finding, and what can still be read is.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.data.check.findings import Findings
from arcterm.data.check.parts import Item, Size
from arcterm.errors import DataError
from arcterm.files import Stamp, stamp
from arcterm.formats.images import decode
from arcterm.formats.recordio import irheader
from arcterm.formats.recordio.checksums import Checksums, read_checksums
from arcterm.formats.recordio.container import MAGIC_BYTES, RecordFile
from arcterm.formats.recordio.facepack import read_property
from arcterm.formats.recordio.recordindex import read_index

_LINE = re.compile(rb"^([0-9]{1,18})\t([0-9]{1,18})\r?$", re.MULTILINE)
_TRIED = 16  # records that are tried for the size of the images
_ALIGNMENT = 4

Ints = NDArray[np.int64]


class PackPart:
    """The records of ``train.rec`` in ascending order of key: `keys` and `offsets` (R,).

    `header` are the two labels of key 0, if it is a header record. `classes` and `size` are those of
    ``property``; without one the size is that of the first image. Raises `DataError` if there is no
    ``train.rec`` or nothing in it can be found.
    """

    name = "train.rec"

    def __init__(self, directory: Path, findings: Findings) -> None:
        self.directory = directory
        self.records = RecordFile(directory / "train.rec")
        self.checksums = self._sealed(findings)
        self.keys, self.offsets = self._index(findings)
        self.header = self._header()
        self.classes, self.size = self._property(findings)

    def __len__(self) -> int:
        return len(self.keys)

    def where(self, number: int) -> str:
        """Key and byte offset of record `number`, in words."""
        return f"train.rec key {self.keys[number]} at byte {self.offsets[number]}"

    def frame(self, number: int) -> tuple[int, int]:
        """The byte after the record, and the CRC-32 of its bytes; raises `DataError` if it isn't one."""
        offset = int(self.offsets[number])
        end = self.records.read(offset, f"key {self.keys[number]}")[1]
        return end, zlib.crc32(self.records.view[offset:end])

    def look(self, number: int) -> Item:
        """The image record; raises `DataError`."""
        record = self.record(number)
        image = record.image if record.image or record.flag < 2 else None
        return Item(image, record.labels[0], self.where(number))

    def record(self, number: int) -> irheader.ImageRecord:
        """Record `number` taken apart; raises `DataError`."""
        payload = self.records.at(int(self.offsets[number]), f"key {self.keys[number]}")
        return irheader.unpack(payload, f"{self.directory}: {self.where(number)}")

    def state(self) -> Stamp:
        return stamp(self.directory / name for name in ("train.rec", "train.idx"))

    def position(self, key: int) -> int | None:
        """Position of `key` in the order of keys; None if the index lacks it."""
        at = int(np.searchsorted(self.keys, key))
        return at if at < len(self.keys) and self.keys[at] == key else None

    def _sealed(self, findings: Findings) -> Checksums | None:
        """The pack's checksums; files that aren't what they were are findings."""
        found = findings.attempt("file", lambda: read_checksums(self.directory), file="train.crc")
        if found is None:
            return None
        checksums = found
        for name in sorted(checksums.files):
            findings.attempt("file", lambda name=name: checksums.check_file(name), file=name)  # type: ignore[misc]
        return checksums

    def _index(self, findings: Findings) -> tuple[Ints, Ints]:
        path = self.directory / "train.idx"
        index = findings.attempt("index", lambda: read_index(path, len(self.records)), file="train.idx")
        if index is not None:
            return index.keys, index.offsets
        rows = self._readable_lines(path)
        if not len(rows):
            rows = np.array(list(self._found_records()), np.int64).reshape(-1, 2)
        if not len(rows):
            raise DataError(
                f"{self.directory}: no record can be found in train.rec",
                "it isn't a face pack, or all damaged",
            )
        keys, first = np.unique(rows[:, 0], return_index=True)
        return keys, rows[first, 1]

    def _readable_lines(self, path: Path) -> Ints:
        """(R, 2) keys and offsets of the lines that are well-formed, as `read_index` would take them."""
        if not path.is_file():
            return np.empty((0, 2), np.int64)
        lines = [(int(key), int(offset)) for key, offset in _LINE.findall(path.read_bytes())]
        return np.array(lines, np.int64).reshape(-1, 2)

    def _found_records(self) -> Iterator[tuple[int, int]]:
        """Keys, as the records themselves have them, and offsets of all whole records; no index needed."""
        for offset, _, payload in walk(self.records, 0, len(self.records)):
            if len(payload) >= irheader.HEADER.size:
                key = irheader.HEADER.unpack_from(payload)[2]
                if key < 1 << 62:
                    yield key, offset

    def _header(self) -> tuple[float, float] | None:
        at = self.position(0)
        if at is None:
            return None
        try:
            record = self.record(at)
        except DataError:  # the look at every record says so
            return None
        if record.flag < 2 or record.image:
            return None
        return record.labels[0], record.labels[1]

    def _property(self, findings: Findings) -> tuple[int | None, Size | None]:
        path = self.directory / "property"
        if path.exists():
            found = findings.attempt("file", lambda: read_property(path), file="property")
            if found is not None:
                return found
        for number in range(min(_TRIED, len(self))):
            try:
                piece = self.look(number)
                if piece.image:
                    height, width = decode(piece.image, size=None, source=piece.source).shape[:2]
                    return None, (height, width)
            except DataError:  # likewise
                continue
        return None, None


def walk(records: RecordFile, start: int, stop: int) -> Iterator[tuple[int, int, memoryview]]:
    """Whole records between two bytes as (offset, end, payload); what isn't one is passed over."""
    offset = start + -start % _ALIGNMENT
    while offset < stop:
        try:
            payload, end = records.read(offset)
        except DataError:
            offset = _next_magic(records, offset + _ALIGNMENT, stop)
            continue
        yield offset, end, payload
        offset = end


def _next_magic(records: RecordFile, start: int, stop: int) -> int:
    """The next byte, a multiple of 4, where a record may begin; `stop` if there is none."""
    chunk = 1 << 20
    while start < stop:
        data = np.frombuffer(records.view[start : min(start + chunk, stop)], np.uint8)
        words = data[: len(data) // _ALIGNMENT * _ALIGNMENT].view("<u4")
        hits = np.flatnonzero(words == int.from_bytes(MAGIC_BYTES, "little"))
        if hits.size:
            return start + int(hits[0]) * _ALIGNMENT
        start += chunk
    return stop
