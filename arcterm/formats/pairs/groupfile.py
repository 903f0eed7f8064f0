"""Groups of a set's pairs, such as RFW's four: ``NAME.groups`` beside ``NAME.bin``, a line for each pair.

A ``.bin`` itself has no place for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arcterm.errors import DataError
from arcterm.files import staged_file

ENDING = ".groups"
MAX_NAME = 200

_MAX_BYTES = 256 << 20


def groups_file(path: Path) -> Path:
    """Place of the groups of the set at `path`."""
    return path.with_suffix(ENDING)


def read_groups(path: Path, pairs: int) -> list[str] | None:
    """Read the groups of the set at `path`, one for each of its `pairs`; None if it has none.

    Raises `DataError` for another number of lines, or one that is empty, not plain or too long.
    """
    place = groups_file(path)
    hint = f"{place} needs a line with the group of each pair; remove it if they have none"
    try:
        if not place.exists():
            return None
        if not place.is_file() or place.stat().st_size > _MAX_BYTES:
            raise DataError(f"{place} is no file of groups", hint)
        text = place.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{place} can't be read: {error.strerror}", hint) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{place} isn't text: byte {error.start} isn't UTF-8", hint) from None
    groups = [line.strip() for line in text.removesuffix("\n").split("\n")]
    if len(groups) != pairs:
        raise DataError(f"{place} has groups of {len(groups)} pairs, the set has {pairs}", hint)
    for number, group in enumerate(groups, 1):
        if not _is_plain(group):
            raise DataError(f"{place} line {number}: {group[:40]!r} is no group", hint)
    return groups


def write_groups(path: Path, groups: Sequence[str]) -> None:
    """Write the groups of the set at `path` in one step; raises `DataError` for one that isn't plain."""
    if wrong := next((group for group in groups if not _is_plain(group)), None):
        raise DataError(f"{wrong[:40]!r} can't be a group", f"give up to {MAX_NAME} characters that print")
    with staged_file(groups_file(path)) as stage:
        stage.write_text("".join(f"{group}\n" for group in groups), encoding="utf-8")


def _is_plain(group: str) -> bool:
    return group.isprintable() and 0 < len(group) <= MAX_NAME
