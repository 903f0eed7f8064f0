"""Protocol buffers as fields, read in place: enough to know a message without its library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST = 10  # bytes of a 64-bit varint


class Field(NamedTuple):
    """A field's number and its value: a number, or the bytes of a text or message where they lie."""

    number: int
    value: int | memoryview


def fields(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a message in the order of the file; raises `ValueError` where it is none."""
    for field, _, _ in spans(message):
        yield field


def spans(message: memoryview) -> Iterator[tuple[Field, int, int]]:
    """Yield each field with the bytes of the message that it takes, from the first up to the last."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:
            raise ValueError(f"byte {at}: field 0")
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield Field(number, value), start, at
            continue
        if wire == _BYTES:
            length, at = _varint(message, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"byte {at}: wire type {wire}")
        if length > len(message) - at:
            raise ValueError(f"byte {at}: a field of {length} bytes, {len(message) - at} are left")
        yield Field(number, message[at : at + length]), start, at + length
        at += length


def field_bytes(number: int, value: bytes) -> bytes:
    """Write a field of a text or message."""
    return _varint_bytes(number << 3 | _BYTES) + _varint_bytes(len(value)) + value


def _varint_bytes(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place in range(_LONGEST):
        if at + place >= len(message):
            raise ValueError(f"byte {at}: a number without end")
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise ValueError(f"byte {at}: a number of more than 64 bits")


def varints(value: int | memoryview) -> list[int]:
    """Return the numbers of a repeated field, which may be packed into one; raises `ValueError`."""
    if isinstance(value, int):
        return [value]
    found, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        found.append(number)
    return found
