"""``train.crc`` beside a face pack: a CRC-32 of every record and every other file, so that damage is named.

Little-endian: 8 bytes ``ARCCRC1\\n``; u32 length of the header, u32 number of records; the header, JSON
``{"files": {name: CRC-32}}`` padded with blanks to 4 bytes; one u32 a record, ascending by key, the CRC-32 of
all bytes from its frame to its padding; u32, the CRC-32 of everything before.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.files import staged_file
from arcterm.formats.recordio.container import map_file

NAME = "train.crc"
RECORDS = "train.rec"

_MAGIC = b"ARCCRC1\n"
_HEAD = struct.Struct("<8sII")
_CHUNK = 1 << 24


class _Header(msgspec.Struct):
    files: dict[str, int]


class Checksums:
    """`records` (R,) uint32, ascending by key, a mapped array; `files` the CRC-32 of whole files by name."""

    def __init__(self, path: Path, records: NDArray[np.uint32], files: dict[str, int]) -> None:
        self.path = path
        self.records = records
        self.files = files

    def check_file(self, name: str) -> None:
        """Raise `DataError` if the file `name` beside it is missing or not what it was; unknown ones pass."""
        if name in self.files and file_crc(self.path.with_name(name)) != self.files[name]:
            raise DataError(
                f"{self.path.with_name(name)} is damaged or was changed: its CRC-32 isn't the one in {NAME}",
                f"copy it again; if the change was meant, remove {NAME} and run "
                f"`arcterm data check {self.path.parent} --seal`",
            )


def read_checksums(directory: Path) -> Checksums | None:
    """The checksums of a pack, None where it has none; raises `DataError` if ``train.crc`` is damaged."""
    path = directory / NAME
    if not path.exists():
        return None
    data = memoryview(map_file(path))
    damaged = DataError(
        f"{path} is damaged", f"copy it again, or remove it and run `arcterm data check {directory} --seal`"
    )
    if len(data) < _HEAD.size + 4 or zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise damaged
    magic, length, count = _HEAD.unpack_from(data)
    start = _HEAD.size + length
    if magic != _MAGIC or length % 4 or start + 4 * count + 4 != len(data):
        raise damaged
    try:
        header = msgspec.json.decode(data[_HEAD.size : start], type=_Header)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise damaged from None
    if not all(name == Path(name).name and name.isprintable() for name in header.files):
        raise damaged
    return Checksums(path, np.frombuffer(data, "<u4", count, start), header.files)


def write_checksums(directory: Path, records: NDArray[np.uint32]) -> None:
    """Write ``train.crc`` for the pack in `directory`; `records` are ascending by key.

    Covers every other plain file there whose name can be printed and begins with no dot. Raises `DataError`
    if it can't.
    """
    names = sorted(p.name for p in directory.iterdir() if p.is_file() and p.name.isprintable())
    names = [name for name in names if not name.startswith(".")]
    files = {name: file_crc(directory / name) for name in names if name not in (NAME, RECORDS)}
    header = msgspec.json.encode(_Header(files))
    header += b" " * (-len(header) % 4)
    body = _HEAD.pack(_MAGIC, len(header), len(records)) + header + records.astype("<u4").tobytes()
    with staged_file(directory / NAME) as stage:
        stage.write_bytes(body + zlib.crc32(body).to_bytes(4, "little"))


def file_crc(path: Path) -> int:
    """The CRC-32 of a file; raises `DataError` if it can't be read."""
    crc = 0
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                crc = zlib.crc32(chunk, crc)
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "copy it again, from where the pack came from"
        ) from None
    return crc
