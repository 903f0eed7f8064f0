"""GIF: how large a file says that it is, and its first picture by itself.

Layout: "Graphics Interchange Format, version 89a", CompuServe, 1990.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_HEADER = 13


class FirstPicture(NamedTuple):
    """Height and width in pixels, and a whole file of that picture alone."""

    height: int
    width: int
    data: bytes


def read_first(data: bytes) -> FirstPicture:
    """Take the first picture out of a file, without what makes colours transparent.

    Every block is walked through to the trailer. Raises `ValueError` with the reason if the file ends before.
    """
    width, height = struct.unpack_from("<HH", data.ljust(_HEADER, b"\0"), 6)
    at = start = _HEADER + _table(data, 10)
    picture = b""
    while (kind := _byte(data, at)) != _TRAILER:
        if kind == _EXTENSION:
            at = _skip_blocks(data, at + 2)
        elif kind == _IMAGE:
            end = _skip_blocks(data, at + 10 + _table(data, at + 9) + 1)
            if not picture:
                _require_inside(data, at, width, height)
                picture = data[at:end]
            at = end
        else:
            raise ValueError(f"byte {at} begins no block of a GIF")
    if not picture or not width or not height:
        raise ValueError("there is no picture in it")
    return FirstPicture(height, width, data[:start] + picture + bytes([_TRAILER]))


def _require_inside(data: bytes, at: int, width: int, height: int) -> None:
    left, top, wide, high = struct.unpack_from("<HHHH", data, at + 1)
    if not wide or not high or left + wide > width or top + high > height:
        raise ValueError(f"its first picture is not within {width}×{height}")


def _table(data: bytes, at: int) -> int:
    """Bytes of the colour table that a byte of flags announces."""
    flags = _byte(data, at)
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_blocks(data: bytes, at: int) -> int:
    """The place behind a chain of blocks, which one of no length ends."""
    while length := _byte(data, at):
        at += length + 1
    return at + 1


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise ValueError("it ends early")
    return data[at]
