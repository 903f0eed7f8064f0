"""IRHeader: the 24 bytes in front of every image record, ``<IfQQ`` = flag, label, id, id2.

Flag 0: the label is the float in the header. Flag n > 0: n float32 labels follow the header, then the image.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from arcterm.errors import DataError

HEADER = struct.Struct("<IfQQ")
_PAIR = struct.Struct("<2f")


class ImageRecord(NamedTuple):
    """An image record taken apart; `labels` has one element where `flag` is 0, else `flag` elements."""

    flag: int
    labels: Sequence[float]
    id: int
    id2: int
    image: memoryview


def unpack(payload: memoryview, source: str) -> ImageRecord:
    """Take a record's payload apart; raises `DataError` naming `source` if it is too short for its labels."""
    if len(payload) < HEADER.size:
        raise DataError(
            f"{source} has {len(payload)} bytes, too few for an image record's header",
            "this isn't a file of images made by im2rec or face2rec2",
        )
    flag, label, key, key2 = HEADER.unpack_from(payload)
    if not flag:
        return ImageRecord(0, (label,), key, key2, payload[HEADER.size :])
    end = HEADER.size + 4 * flag
    if end > len(payload):
        raise DataError(
            f"{source} promises {flag} labels and has room for {(len(payload) - HEADER.size) // 4}",
            "the record is damaged, or this isn't a file of images made by im2rec or face2rec2",
        )
    labels = _PAIR.unpack_from if flag == 2 else struct.Struct(f"<{flag}f").unpack_from
    return ImageRecord(flag, labels(payload, HEADER.size), key, key2, payload[end:])


def pack(labels: float | Sequence[float], key: int, image: bytes = b"") -> bytes:
    """A record's payload: a number goes into the header (flag 0), a sequence behind it (flag n)."""
    if isinstance(labels, int | float):
        return HEADER.pack(0, labels, key, 0) + image
    return HEADER.pack(len(labels), 0.0, key, 0) + struct.pack(f"<{len(labels)}f", *labels) + image
