"""Writing small files so that a reader sees the old one or the new one, and never half of one."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import TypeVar

import msgspec

from arcterm.errors import DataError

T = TypeVar("T")
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
    with path.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


def read_json(path: Path, kind: type[T]) -> T:
    """The JSON of `path` as `kind`; raises FileNotFoundError, or `DataError` if it is something else."""
    data = path.read_bytes()
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise DataError(
            f"{path} is not what arcterm wrote: {error}", "restore it, or remove the run"
        ) from None


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
