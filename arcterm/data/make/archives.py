"""Unpacking an archive of images from a stranger: plain files with plain names only, within bounds.

Nothing but image files and ``.lst`` lists is written; what else there is, is passed over and counted.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer_file
from arcterm.formats.people import IMAGE_TYPES, is_junk
from arcterm.progress import Progress

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
MAX_RATIO, FLOOR = 100, 16 << 20
"""An archive may hold at most so many times its own size, or `FLOOR` bytes if that is more."""
_CHUNK = 1 << 20
_TAKEN = IMAGE_TYPES | {".lst"}
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}

# What the standard library makes of an archive that isn't whole; one may also ask for gigabytes to unpack it.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    NotImplementedError,
    ValueError,
    MemoryError,
)


class Member(NamedTuple):
    """A file in an archive: its name, whether it is plain, how many bytes it takes, how to read them."""

    name: str
    plain: bool
    size: int
    packed: int
    open: Callable[[], IO[bytes]]


def is_archive(path: Path) -> bool:
    """Return whether the name is that of an archive that can be read."""
    return path.name.lower().endswith(SUFFIXES)


def unpack(archive: Path, target: Path, progress: Progress) -> int:
    """Write the images and lists of `archive` below `target`, a new directory; returns files passed over.

    `progress` counts the bytes that were read. Raises `DataError` naming the member for a name that leads
    elsewhere or has control characters, a link or device, and content of more than 100 times the archive.
    """
    refuse_pointer_file(archive)
    target.mkdir(mode=0o700)
    limit = max(FLOOR, MAX_RATIO * archive.stat().st_size)
    passed_over = written = 0
    try:
        with archive.open("rb") as file:
            for member in _members(archive, file, limit):
                _check(archive, member)
                if not _wanted(PurePosixPath(member.name)):
                    passed_over += 1
                    continue
                written += member.size
                if written > limit:
                    raise _too_much(archive, _shown(member.name))
                _write(member, target)
                progress(min(file.tell(), archive.stat().st_size), archive.stat().st_size, "unpack")
    except _DAMAGE as error:
        raise DataError(
            f"{archive} is damaged or no archive: {_shown(str(error)) or 'it ends too early'}",
            "copy it again",
        ) from None
    except (OSError, RuntimeError) as error:  # zlib in its own words, an encrypted member, a full disk
        raise DataError(
            f"{archive} can't be unpacked: {_shown(str(error))}", "copy it again; look at the disk"
        ) from None
    return passed_over


def _wanted(name: PurePosixPath) -> bool:
    """Return whether a file is an image or a list, and not left behind by an operating system."""
    return name.suffix.lower() in _TAKEN and not any(map(is_junk, name.parts))


def _members(archive: Path, file: IO[bytes], limit: int) -> Iterator[Member]:
    start = file.read(6)
    file.seek(0)
    if start[:2] == b"PK":
        yield from _zipped(zipfile.ZipFile(file))
        return
    opener = next((open_ for magic, open_ in _OPENERS.items() if start.startswith(magic)), None)
    plain = _Bounded(opener(file) if opener else file, archive, limit)
    with tarfile.open(fileobj=plain, mode="r|") as tar:
        for entry in tar:
            if not entry.isdir():
                yield Member(entry.name, entry.isreg(), entry.size, 0, lambda e=entry: _file_of(tar, e))  # type: ignore[misc]


def _zipped(bundle: zipfile.ZipFile) -> Iterator[Member]:
    for entry in bundle.infolist():
        if not entry.filename.endswith("/"):
            kind = entry.external_attr >> 16 & 0o170000
            yield Member(
                entry.filename,
                kind in (0, 0o100000),
                entry.file_size,
                entry.compress_size,
                lambda e=entry: bundle.open(e),  # type: ignore[misc]
            )


def _file_of(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> IO[bytes]:
    found = tar.extractfile(entry)
    assert found is not None
    return found


def _check(archive: Path, member: Member) -> None:
    shown = _shown(member.name)
    parts = PurePosixPath(member.name).parts
    if not member.name.isprintable() or "\\" in member.name or not parts:
        what = "has control characters or a backslash in its name"
    elif member.name.startswith("/") or ".." in parts:
        what = "leads out of the archive"
    elif not member.plain:
        what = "is a link or a device"
    elif member.packed and member.size > FLOOR and member.size > MAX_RATIO * member.packed:
        raise _too_much(archive, shown)
    else:
        return
    raise DataError(
        f"{archive}: member {shown!r} {what}", "don't unpack it elsewhere; get it from its makers again"
    )


def _shown(text: str) -> str:
    """A stranger's text as a message quotes it."""
    return "".join(c if c.isprintable() else "?" for c in text[:200])


def _too_much(archive: Path, name: str) -> DataError:
    return DataError(
        f"{archive}: with member {name!r} it unpacks to more than {MAX_RATIO} times its size",
        "images hardly compress, so this is no archive of images; get it from its makers again",
    )


def _write(member: Member, target: Path) -> None:
    place = target / member.name
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    number = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(number, "wb") as out, member.open() as source:
        left = member.size
        while chunk := source.read(min(_CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                raise EOFError(f"{member.name} is longer than it says")
            out.write(chunk)


class _Bounded(io.RawIOBase):
    """Reads on from a file, at most `limit` bytes in all, however many it is asked for at once."""

    def __init__(self, file: IO[bytes], archive: Path, limit: int) -> None:
        self._file, self._archive, self._left = file, archive, limit + _CHUNK

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes; raises `DataError` beyond the limit."""
        if size < 0 or size > self._left:
            raise _too_much(self._archive, "its headers")
        found = self._file.read(size)
        self._left -= len(found)
        return found

    def readable(self) -> bool:
        return True
