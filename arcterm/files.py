"""Writing small files so that a reader sees the old one or the new one, and never half of one."""

from __future__ import annotations

import os
import secrets
import stat
import time
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

import msgspec

from arcterm.errors import ArctermError, DataError

T = TypeVar("T")
_LARGEST = 256 << 20
_RESTORE = "restore it, or remove the run"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def write_json(path: Path, value: object) -> None:
    """Replace `path` by the JSON of `value`: written beside it, synced, renamed."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: written beside it, synced, renamed, and the directory synced."""
    temporary = path.with_name(f".{path.name}.tmp.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)


def create_json(path: Path, value: object) -> None:
    """Write `path`, which must not exist; raises FileExistsError."""
    create_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def create_bytes(path: Path, data: bytes) -> None:
    """Write `path`, which must not exist, and make it durable; raises FileExistsError."""
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


def read_json(path: Path, kind: type[T]) -> T:
    """The JSON of `path` as `kind`; raises FileNotFoundError, or `DataError` if it is something else."""
    hint = _RESTORE
    data = read_bytes(path)
    try:
        return msgspec.json.decode(data, type=kind)
    except ArctermError as error:  # a value that the type itself refuses
        raise DataError(f"{path} is not what arcterm wrote: {error.message}", hint) from None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise DataError(f"{path} is not what arcterm wrote: {error}", hint) from None


def read_bytes(path: Path) -> bytes:
    """What a small file holds; raises OSError, or `DataError` if it is none."""
    with open_regular(path) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise DataError(f"{path} is not what arcterm wrote: it is larger than {_LARGEST >> 20} MiB", _RESTORE)
    return data


def open_regular(path: Path) -> BufferedReader:
    """`path` opened for reading; raises OSError, or `DataError` for a pipe or what else is no file."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise DataError(f"{path} is not what arcterm wrote: it is no file", _RESTORE)
    return os.fdopen(fd, "rb")


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def ulid() -> str:
    """A sortable unique name: 10 characters of milliseconds, then nanoseconds and chance (base 32)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    number = milliseconds << 80 | rest << 60 | secrets.randbits(60)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
