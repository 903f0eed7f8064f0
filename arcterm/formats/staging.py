"""A directory that appears whole or not at all: filled beside its place, synced, renamed."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arcterm.errors import DataError, StopAskedError


def require_free(place: Path) -> None:
    """Raise `DataError` unless `place` doesn't exist or is an empty directory."""
    if place.is_dir() and not any(place.iterdir()):
        return
    if place.exists() or place.is_symlink():
        raise DataError(
            f"{place} already exists and isn't empty", "choose another directory, or remove it first"
        )


def stage_of(place: Path, key: str) -> Path:
    """Where `place` is filled by the work called `key`."""
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
    kept = False
    try:
        stage.mkdir(parents=True, exist_ok=bool(resume))
        yield stage
        for file in (*stage.iterdir(), stage):
            sync(file)
        require_free(place)
        stage.rename(place)
        sync(place.parent)
    except StopAskedError:
        kept = bool(resume)
        raise
    except OSError as error:
        raise DataError(
            f"{place} can't be written: {error.strerror or error}", "check free space and permissions there"
        ) from error
    finally:
        if not kept:
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
        sync(stage)
        stage.replace(place)
        sync(place.parent)
    except OSError as error:
        raise DataError(
            f"{place} can't be written: {error.strerror or error}", "check free space and permissions there"
        ) from error
    finally:
        stage.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Make a file's bytes, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
