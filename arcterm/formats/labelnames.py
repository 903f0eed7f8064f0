"""Class names of a face pack: ``labels.txt`` beside it, one per line."""

from __future__ import annotations

from pathlib import Path

from arcterm.formats.recordio.checksums import read_checksums
from arcterm.formats.recordio.packwriter import NAMES

_MAX_BYTES = 256 << 20


def read_names(directory: Path, classes: int) -> list[str]:
    """The name of each class, empty for one without; an empty list where no file fits the pack.

    Other programs write other files of that name, so one that doesn't fit is no error. Raises `DataError`
    if the file doesn't match the pack's checksum.
    """
    path = directory / NAMES
    if checksums := read_checksums(directory):
        checksums.check_file(NAMES)
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return []
    names = path.read_text(encoding="utf-8-sig", errors="replace").removesuffix("\n").split("\n")
    return names if len(names) == classes else []
