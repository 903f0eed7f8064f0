"""Files that a reader sees whole or not at all, and whether files changed: the one way for each.

Small files are replaced (`write_json`), large ones and directories are filled beside their place and get
their name at the end (`staged_file`, `staged_directory`, `publish`).
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from arcterm.errors import ArctermError, DataError, StopAskedError

T = TypeVar("T")
Stamp = list[list[str | int]]
_LARGEST = 256 << 20
_RESTORE = "restore it, or remove the run"
_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"


def stamp(paths: Iterable[Path], *, exact: bool = False) -> Stamp:
    """Return name, bytes and time of change (ns) of each file, to be compared with those of another time.

    An absent file has -1 bytes. With `exact` a copy put back in a file's place is another file, whatever its
    times say. Raises `DataError` for a file that can't be looked at.
    """
    found: Stamp = []
    for path in paths:
        try:
            s = path.stat()
        except FileNotFoundError:
            found.append([str(path), -1, 0])
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}", "check the path and its permissions") from None
        else:
            found.append([str(path), s.st_size, s.st_mtime_ns])
            if exact:
                found[-1] += [s.st_dev, s.st_ino, s.st_ctime_ns]
    return found


def write_json(path: Path, value: object) -> None:
    """Replace `path` by the JSON of `value`: written beside it, synced, renamed."""
    write_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`: written beside it, synced, renamed, and the directory synced."""
    temporary = path.with_name(f".{path.name}.tmp.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            sync(file)
        publish(temporary, path)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # the file that was asked for
        raise
    finally:
        temporary.unlink(missing_ok=True)


def create_json(path: Path, value: object) -> None:
    """Write `path`, which must not exist; raises FileExistsError."""
    create_bytes(path, msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def create_bytes(path: Path, data: bytes) -> None:
    """Write `path`, which must not exist, and make it durable; raises FileExistsError."""
    with path.open("xb") as file:
        file.write(data)
        sync(file)
    sync_path(path.parent)


def read_json(
    path: Path, kind: type[T], upgraded: Callable[[Any], Any] | None = None, hint: str = _RESTORE
) -> T:
    """The JSON of `path` as `kind`; raises FileNotFoundError, or `DataError` if it is something else.

    `upgraded` turns what an earlier version wrote into what this one writes.
    """
    data = read_bytes(path, hint)
    try:
        if upgraded is not None:
            return msgspec.convert(upgraded(msgspec.json.decode(data)), kind)
        return msgspec.json.decode(data, type=kind)
    except ArctermError as error:  # a value that the type itself refuses
        raise DataError(f"{path} is not what arcterm wrote: {error.message}", hint) from None
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise DataError(f"{path} is not what arcterm wrote: {error}", hint) from None


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """Return the SHA-256 of files, by their names."""
    found = {}
    for path in paths:
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def read_bytes(path: Path, hint: str = _RESTORE) -> bytes:
    """Read a small file of arcterm's; raises OSError, or `DataError` if it is no file."""
    with open_regular(path, hint) as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise DataError(f"{path} is not what arcterm wrote: it is larger than {_LARGEST >> 20} MiB", hint)
    return data


def open_regular(path: Path, hint: str = _RESTORE, *, ours: bool = True) -> BufferedReader:
    """`path` opened for reading; raises OSError, or `DataError` for a pipe or what else is no file.

    The message says so if it was to be one of arcterm's, `ours`; `hint` is its next step.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise DataError(f"{path} is {'not what arcterm wrote: it is ' * ours}no file", hint)
    return os.fdopen(fd, "rb")


def require_free(place: Path) -> None:
    """Raise `DataError` unless `place` is an empty directory, or can be made."""
    try:
        empty = place.is_dir() and not any(place.iterdir())
        there = place.exists() or place.is_symlink()
        above = next((each for each in place.absolute().parents if each.exists()), Path("/"))
    except OSError as error:
        raise DataError(f"{place} can't be looked at: {error.strerror}", "check permissions there") from None
    if there and not empty:
        raise DataError(
            f"{place} already exists and isn't empty", "choose another directory, or remove it first"
        )
    if not above.is_dir():
        raise DataError(f"{place} can't be made: {above} is no directory", "choose another directory")
    if not os.access(above, os.W_OK | os.X_OK):  # at the end of hours of work it would be too late
        raise DataError(f"{place} can't be made: {above} can't be written to", "check permissions there")


def stage_of(place: Path, key: str) -> Path:
    """Return the path at which the work called `key` fills `place`."""
    return place.parent / f".{place.name}.partial.{key}"


@contextmanager
def staged_directory(place: Path, resume: str = "") -> Iterator[Path]:
    """Yield a new directory beside `place` that becomes `place` at the end, and vanishes on an error.

    With `resume`, a name for the work, what a stopped or killed attempt of that name left is yielded again,
    and a stop that was asked for leaves it. Raises `DataError` if `place` holds something, before or at the
    end, or if the disk doesn't take it.
    """
    require_free(place)
    stage = stage_of(place, resume or secrets.token_hex(6))
    resumable = False
    try:
        stage.mkdir(parents=True, exist_ok=bool(resume))
        yield stage
        for file in (*stage.iterdir(), stage):
            sync_path(file)
        require_free(place)
        publish(stage, place)
    except StopAskedError:
        resumable = bool(resume)
        raise
    except OSError as error:
        raise DataError(
            f"{place} can't be written: {error.strerror or error}", "check free space and permissions there"
        ) from error
    finally:
        if not resumable:
            shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def staged_file(place: Path) -> Iterator[Path]:
    """Yield a path beside `place` that replaces `place` at the end; raises `DataError` as above.

    It gets the mode of a new file, by the umask, also from writers that make private files.
    """
    stage = place.parent / f".{place.name}.partial.{secrets.token_hex(6)}"
    try:
        stage.touch(exist_ok=False)
        mode = stat.S_IMODE(stage.stat().st_mode)
        yield stage
        stage.chmod(mode)
        sync_path(stage)
        publish(stage, place)
    except OSError as error:
        raise DataError(
            f"{place} can't be written: {error.strerror or error}", "check free space and permissions there"
        ) from error
    finally:
        stage.unlink(missing_ok=True)


def publish(stage: Path, place: Path) -> None:
    """Give what is written at `stage` its name, durably: `place` is replaced if it is a file."""
    stage.replace(place)
    sync_path(place.parent)


def sync(file: IO[bytes]) -> None:
    """Make what was written into an open file durable."""
    file.flush()
    os.fsync(file.fileno())


def sync_path(path: Path) -> None:
    """Make a file's bytes, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def ulid() -> str:
    """A sortable unique name: 10 characters of milliseconds, then nanoseconds and chance (base 32)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    number = milliseconds << 80 | rest << 60 | secrets.randbits(60)
    return "".join(_CROCKFORD[number >> shift & 31] for shift in range(125, -1, -5))
