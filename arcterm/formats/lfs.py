"""Git LFS pointers: small texts that stand for large files which `git clone` didn't fetch."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from arcterm.errors import DataError
from arcterm.text import first_of

_START = b"version https://git-lfs"
LARGEST = 1024
"""Bytes of a pointer, by its specification."""
_LOOKED_AT = 10_000
_NAMED = 10

HINT = "fetch the files themselves with `git lfs pull` in the repository, or copy them again"


def is_pointer(head: bytes | memoryview) -> bool:
    """Whether a file that begins so is a pointer."""
    return bytes(head[: len(_START)]) == _START


def refuse_pointer(head: bytes | memoryview, path: Path) -> None:
    """Raise `DataError` if the file `path`, which begins with `head`, is a pointer; names those beside it."""
    if not is_pointer(head):
        return
    others = sorted(_find_pointers_beside(path))
    named = first_of(others, _NAMED)
    also = f"; so {'is' if len(others) == 1 else 'are'} {named} beside it" if others else ""
    raise DataError(f"{path} is a Git LFS pointer, not the file itself{also}", HINT)


def refuse_pointer_file(path: Path) -> None:
    """Likewise, reading the file's first bytes; one that can't be read passes, for its reader to report."""
    try:
        with path.open("rb") as file:
            head = file.read(len(_START))
    except OSError:
        return
    refuse_pointer(head, path)


def _find_pointers_beside(path: Path) -> list[str]:
    """Names of other pointers among the first `_LOOKED_AT` entries of the directory."""
    found = []
    try:
        for other in islice(path.parent.iterdir(), _LOOKED_AT):
            if other.name != path.name and other.is_file() and other.stat().st_size <= LARGEST:
                with other.open("rb") as file:
                    found += [other.name] * is_pointer(file.read(len(_START)))
    except OSError:  # the pointer at hand is what matters
        return found
    return found
