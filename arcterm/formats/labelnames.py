"""What the classes of a face pack are called: ``labels.txt`` beside it, a line a class."""

from __future__ import annotations

from pathlib import Path

from arcterm.formats.recordio.checksums import read_checksums
from arcterm.formats.recordio.packwriter import NAMES

_MAX_BYTES = 256 << 20


def read_names(directory: Path, classes: int) -> list[str]:
    """The name of each class, empty for one without; no names at all where no file fits the pack.

    Others keep other things in a file of that name, so one that doesn't fit is no error. Raises `DataError`
    where the pack has checksums and the file isn't what it was.
    """
    path = directory / NAMES
    if checksums := read_checksums(directory):
        checksums.check_file(NAMES)
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return []
    names = path.read_text(encoding="utf-8-sig", errors="replace").removesuffix("\n").split("\n")
    return names if len(names) == classes else []
