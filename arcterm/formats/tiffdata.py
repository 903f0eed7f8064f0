"""The data of a TIFF's strips and tiles: how many bytes they are once unpacked.

libtiff leaves the rest of a picture as it was where data ends early, and OpenCV says nothing of it.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

NONE, LZW, JPEG, DEFLATE, PACKBITS, OLD_DEFLATE = 1, 5, 7, 8, 32773, 32946
_PIECE = 1 << 20  # bytes at a time
_CLEAR, _END, _FIRST = 256, 257, 258
_WIDTHS = np.repeat(np.array([9, 10, 11, 12]), [254, 512, 1024, 2048])  # bits of the codes after a clear code
_OFFSETS = np.concatenate([[0], np.cumsum(_WIDTHS)])


def is_whole(compression: int, data: bytes, expected: int) -> bool:
    """Whether a strip or tile unpacks to `expected` bytes at least; of JPEG, whether its end is there."""
    if compression == JPEG:
        return data.startswith(b"\xff\xd8") and data.rstrip(b"\0").endswith(b"\xff\xd9")
    if compression in (DEFLATE, OLD_DEFLATE):
        return _deflated_length(data, expected) >= expected
    if compression == LZW:
        return _lzw_length(data, expected) >= expected
    return (_packbits_length(data) if compression == PACKBITS else len(data)) >= expected


def _deflated_length(data: bytes, most: int) -> int:
    """Count the bytes that deflated data stands for, or `most` of them; -1 if it is damaged."""
    unpacker, length = zlib.decompressobj(), 0
    try:
        while length < most and (part := unpacker.decompress(data, _PIECE)):
            data = unpacker.unconsumed_tail
            length += len(part)
    except zlib.error:
        return -1
    return length


def _packbits_length(data: bytes) -> int:
    """Count the bytes that runs stand for, of those that are whole."""
    at = length = 0
    while at < len(data):
        count = data[at]
        if count < 128:  # as many bytes as they are, and one
            at += count + 2
            length += count + 1 if at <= len(data) else 0
        else:
            at += 2 if count > 128 else 1
            length += 257 - count if count > 128 and at <= len(data) else 0
    return length


def _lzw_length(data: bytes, most: int) -> int:
    """Count the bytes that codes stand for, or `most` of them; -1 if they end without saying so.

    The width of a code follows from its place after the last clear code, so that all are cut at once. Tables
    that are cleared long before they are full, as no writer does it, are taken for damage.
    """
    at, length = 0, 0
    for _ in range(16 + len(data) // 256):
        codes = _codes(data, at)
        ends = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        if not len(ends):
            return -1
        stop = int(ends[0])
        lengths: list[int] = []
        for place, code in enumerate(codes[:stop].tolist()):
            if code - _FIRST >= place:
                return -1
            # an entry is the string of an earlier code, and one byte of the next
            lengths.append(1 if code < _CLEAR else lengths[code - _FIRST] + 1)
        length += sum(lengths)
        if codes[stop] == _END or length >= most:
            return length
        at += int(_OFFSETS[stop + 1])
    return -1


def _codes(data: bytes, at: int) -> NDArray[np.int64]:
    """The codes from bit `at` on, which follows a clear code, as many as a table may have."""
    begin, shift = divmod(at, 8)
    part = np.frombuffer(data[begin : begin + 6000] + bytes(4), np.uint8).astype(np.int64)
    starts = _OFFSETS[:-1] + shift
    count = int(np.count_nonzero(starts + _WIDTHS <= 8 * (len(part) - 4)))
    byte, bit = starts[:count] // 8, starts[:count] % 8
    word = (part[byte] << 16) | (part[byte + 1] << 8) | part[byte + 2]
    codes: NDArray[np.int64] = (word >> (24 - bit - _WIDTHS[:count])) & ((1 << _WIDTHS[:count]) - 1)
    return codes
