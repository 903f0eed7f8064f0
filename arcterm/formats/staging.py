"""A directory that appears whole or not at all: filled beside its place, synced, renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from arcterm.errors import DataError


def require_free(place: Path) -> None:
    """Raise `DataError` unless `place` doesn't exist or is an empty directory."""
    if place.is_dir() and not any(place.iterdir()):
        return
    if place.exists() or place.is_symlink():
        raise DataError(
            f"{place} already exists and isn't empty", "choose another directory, or remove it first"
        )


@contextmanager
def staged_directory(place: Path) -> Iterator[Path]:
    """Yield a new directory beside `place` that becomes `place` at the end, and vanishes on an error.

    Raises `DataError` if `place` holds something, before or at the end, or if the disk doesn't take it.
    """
    require_free(place)
    stage = place.parent / f".{place.name}.partial.{secrets.token_hex(6)}"
    try:
        stage.mkdir(parents=True)
        yield stage
        for file in (*stage.iterdir(), stage):
            _sync(file)
        require_free(place)
        stage.rename(place)
        _sync(place.parent)
    except OSError as error:
        raise DataError(
            f"{place} can't be written: {error.strerror or error}", "check free space and permissions there"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def staged_file(place: Path) -> Iterator[Path]:
    """Yield a path beside `place` that replaces `place` at the end; raises `DataError` as above."""
    stage = place.parent / f".{place.name}.partial.{secrets.token_hex(6)}"
    try:
        yield stage
        _sync(stage)
        stage.replace(place)
        _sync(place.parent)
    except OSError as error:
        raise DataError(
            f"{place} can't be written: {error.strerror or error}", "check free space and permissions there"
        ) from error
    finally:
        stage.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
