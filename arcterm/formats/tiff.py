"""TIFF: how large the first picture of a file is, and whether all of it is there, before it is decoded.

Layout: "TIFF, revision 6.0", Adobe, 1992, and BigTIFF, whose offsets have eight bytes.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from arcterm.formats.tiffdata import DEFLATE, JPEG, LZW, NONE, OLD_DEFLATE, PACKBITS, is_whole

_FORMATS = {3: "H", 4: "I", 16: "Q"}  # of whole numbers


class _Tag(IntEnum):
    WIDTH = 256
    HEIGHT = 257
    BITS = 258
    COMPRESSION = 259
    COLOURS = 262
    STRIPS = 273
    SAMPLES = 277
    ROWS = 278
    STRIP_LENGTHS = 279
    PLANES = 284
    TILE_WIDTH = 322
    TILE_HEIGHT = 323
    TILES = 324
    TILE_LENGTHS = 325
    KIND = 339


_Fields = dict[int, tuple[int, ...]]

_TAGS = frozenset(_Tag)
_COMPRESSIONS = {NONE, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE}
_COLOUR_SPACES = {0, 1, 2, 3, 5, 6}  # grey, RGB, a palette, CMYK, YCbCr
_NAMES = {4: "a mask", 6: "YCbCr without JPEG", 8: "CIELAB", 9: "ICC LAB", 32844: "LogL", 32845: "LogLuv"}
_HINT = "save it as 8 bits a channel, RGB or grey"


def read_first(data: bytes | memoryview, most: int) -> tuple[int, int]:
    """Read height and width of the first picture; others of the file aren't looked at.

    The data is looked through, unless there are more than `most` pixels. Raises `ValueError` with the reason
    for a file that ends early, and for a kind that isn't read: floating-point numbers, more than 16 bits,
    colours other than grey, RGB, JPEG's YCbCr, CMYK or a palette, fax and rare compressions.
    """
    try:
        fields = _Directory(data).fields()
    except struct.error:
        raise ValueError("it ends early") from None
    height, width = _one(fields, _Tag.HEIGHT), _one(fields, _Tag.WIDTH)
    if not height or not width:
        raise ValueError("it has no height or no width")
    _require_readable(fields)
    if (tile := _one(fields, _Tag.TILE_WIDTH) * _one(fields, _Tag.TILE_HEIGHT)) > most:
        raise ValueError(f"a tile of it declares {tile:,} pixels")
    if height * width <= most:
        _require_whole(data, fields, height, width)
    return height, width


def _require_readable(fields: _Fields) -> None:
    """Raise `ValueError` for a kind of picture that OpenCV doesn't read, or reads as another."""
    bits, kinds = set(fields.get(_Tag.BITS, (1,))), set(fields.get(_Tag.KIND, (1,)))
    colours, compression = _one(fields, _Tag.COLOURS), _one(fields, _Tag.COMPRESSION, 1)
    samples = _one(fields, _Tag.SAMPLES, 1)
    if kinds - {1, 4}:
        raise ValueError(f"its numbers are {'floats' if 3 in kinds else 'signed'}: {_HINT}")
    if len(bits) > 1 or not 0 < max(bits) <= 16:
        raise ValueError(f"it has {max(bits)} bits a channel: {_HINT}")
    if colours not in _COLOUR_SPACES or (colours == 6 and compression != JPEG):
        raise ValueError(f"its colours are {_NAMES.get(colours, f'of kind {colours}')}: {_HINT}")
    if compression not in _COMPRESSIONS:
        raise ValueError(f"it is compressed in a way that isn't read ({compression}): {_HINT}")
    if _Tag.TILES in fields and compression == NONE and samples != 4:  # libtiff takes them for four channels
        raise ValueError("its tiles aren't compressed, which isn't read: save it in strips")
    separate = _one(fields, _Tag.PLANES, 1) != 1
    if not 0 < samples <= 5 or (max(bits) > 8 and (separate or colours == 5)):
        raise ValueError(f"it has {samples} channels of {max(bits)} bits: {_HINT}")


def _require_whole(data: bytes | memoryview, fields: _Fields, height: int, width: int) -> None:
    """Raise `ValueError` unless all strips or tiles are there and unpack to as many bytes as they must."""
    tiled = _Tag.TILES in fields
    offsets = fields.get(_Tag.TILES if tiled else _Tag.STRIPS, ())
    lengths = fields.get(_Tag.TILE_LENGTHS if tiled else _Tag.STRIP_LENGTHS, ())
    rows = _one(fields, _Tag.TILE_HEIGHT) if tiled else min(_one(fields, _Tag.ROWS) or height, height)
    columns = _one(fields, _Tag.TILE_WIDTH) if tiled else width
    if not rows or not columns:
        raise ValueError("its tiles have no size")
    separate, samples = _one(fields, _Tag.PLANES, 1) == 2, _one(fields, _Tag.SAMPLES, 1)
    plane = -(-width // columns) * -(-height // rows)
    count = plane * (samples if separate else 1)
    if min(len(offsets), len(lengths)) < count:
        raise ValueError("parts of the picture are missing")
    if sum(lengths[:count]) > len(data):
        raise ValueError("parts of the picture are larger than the file")
    line = -(-columns * _one(fields, _Tag.BITS, 1) * (1 if separate else samples) // 8)  # bytes
    for index in range(count):
        high = rows if tiled else min(rows, height - index % plane * rows)
        part = bytes(data[offsets[index] : offsets[index] + lengths[index]])
        if len(part) < lengths[index] or not is_whole(_one(fields, _Tag.COMPRESSION, 1), part, line * high):
            raise ValueError("its data ends early")


def _one(fields: _Fields, tag: int, default: int = 0) -> int:
    return next(iter(fields.get(tag, ())), default)


class _Directory:
    """The first directory of a file: a list of tags with their values."""

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = data
        self._order = "<" if bytes(data[:2]) == b"II" else ">"
        (version,) = self._read("H", 2)
        self._big = version == 43

    def fields(self) -> _Fields:
        """The values of the tags that are whole numbers and matter here."""
        start = self._read("Q" if self._big else "I", 8 if self._big else 4)[0]
        (count,) = self._read("Q" if self._big else "H", start)
        at, step = start + (8 if self._big else 2), 20 if self._big else 12
        if at + count * step > len(self._data):
            raise ValueError("it ends early")
        found = {}
        for place in range(at, at + count * step, step):
            tag, kind = self._read("HH", place)
            if tag in _TAGS and kind in _FORMATS:
                found[tag] = self._values(_FORMATS[kind], place + 4)
        return found

    def _values(self, form: str, at: int) -> tuple[int, ...]:
        (count,) = self._read("Q" if self._big else "I", at)
        at += 8 if self._big else 4
        length = count * struct.calcsize(form)
        if length > len(self._data):
            raise ValueError("it ends early")
        if length > (8 if self._big else 4):  # what doesn't fit into the entry stands elsewhere
            (at,) = self._read("Q" if self._big else "I", at)
        return self._read(f"{count}{form}", at)

    def _read(self, form: str, at: int) -> tuple[int, ...]:
        if at > len(self._data):  # more than struct takes for a place
            raise ValueError("it ends early")
        return struct.unpack_from(self._order + form, self._data, at)
