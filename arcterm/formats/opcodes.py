"""The opcodes of a pickle, read without unpickling: only the few that a verification file needs.

Any other opcode is refused before its operand is looked at. An operand is a number or a view into the
file, so that nothing the file claims makes us allocate.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Iterator
from pathlib import Path

from arcterm.errors import DataError

MAX_ITEM = 16 << 20
MAX_OPCODES = 8_000_000
MAX_NAME = 256

Operand = int | memoryview | str | None

_PLAIN = (
    "MARK STOP EMPTY_LIST LIST APPEND APPENDS TUPLE TUPLE1 TUPLE2 TUPLE3 MEMOIZE NEWTRUE NEWFALSE NONE "
    "STACK_GLOBAL REDUCE BUILD"
)
_FIXED = {
    "PROTO": "B",
    "FRAME": "Q",
    "BINGET": "B",
    "LONG_BINGET": "I",
    "BINPUT": "B",
    "LONG_BINPUT": "I",
    "BININT": "i",
    "BININT1": "B",
    "BININT2": "H",
}
_COUNTED = {
    "SHORT_BINBYTES": "B",
    "BINBYTES": "I",
    "BINBYTES8": "Q",
    "SHORT_BINSTRING": "B",
    "BINSTRING": "i",
    "SHORT_BINUNICODE": "B",
    "BINUNICODE": "I",
}
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_NUMBERS = {name: struct.Struct("<" + letter) for name, letter in (_FIXED | _COUNTED).items()}
_ALLOWED = {code: name for code, name in _NAMES.items() if name in {*_PLAIN.split(), *_NUMBERS, "GLOBAL"}}

HINT = "a .bin holds images and booleans only: don't open this file elsewhere, get it from its makers again"


def opcodes(data: memoryview, path: Path) -> Iterator[tuple[str, Operand, int]]:
    """(name, operand, byte offset) of every opcode up to STOP.

    Raises `DataError` naming `path` and the offset for an opcode that isn't allowed, a file that ends too
    early, an item over 16 MiB, or more opcodes than a file of that size can need.
    """
    position, name = 0, ""
    try:
        for _ in range(min(MAX_OPCODES, 1000 + len(data) // 2)):
            start, code = position, data[position]
            if code not in _ALLOWED:
                shown = _NAMES.get(code, f"0x{code:02x}")
                raise DataError(f"{path}: pickle opcode {shown} at byte {start} isn't allowed", HINT)
            name = _ALLOWED[code]
            operand, position = _operand(data, name, start + 1)
            yield name, operand, start
            if name == "STOP":
                return
    except (IndexError, struct.error):
        raise DataError(
            f"{path} ends at byte {len(data)}, inside its pickle", "copy it again: it is cut short"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: {name} at byte {start} {error}", HINT) from None
    raise DataError(f"{path} has more opcodes than images and booleans need", HINT)


def _operand(data: memoryview, name: str, position: int) -> tuple[Operand, int]:
    """The operand at `position` and where the next opcode is."""
    if name == "GLOBAL":
        words = bytes(data[position : position + MAX_NAME]).split(b"\n", 2)
        if len(words) < 3:
            raise IndexError if position + MAX_NAME > len(data) else ValueError("has a name too long")
        return f"{words[0].decode('latin-1')} {words[1].decode('latin-1')}", position + len(words[0]) + len(
            words[1]
        ) + 2
    number = _NUMBERS.get(name)
    if number is None:
        return None, position
    (value,) = number.unpack_from(data, position)
    position += number.size
    if name in _FIXED:
        return value, position
    if not 0 <= value <= MAX_ITEM:
        raise ValueError(f"has an item of {value} bytes; at most {MAX_ITEM} are allowed")
    if position + value > len(data):
        raise IndexError
    item = data[position : position + value]
    return str(item, "utf-8") if "UNICODE" in name else item, position + value
