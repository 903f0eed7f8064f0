"""The opcodes of a pickle, read without unpickling: only the few that a verification file needs.

Any other opcode is refused before its operand is looked at. An operand is a number or a view into the
file, so that nothing the file claims makes us allocate.
"""

from __future__ import annotations

import codecs
import pickletools
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from arcterm.errors import DataError

MAX_ITEM = 16 << 20
MAX_OPCODES = 8_000_000
MAX_NAME = 256
_MAX_LINE = 4 * MAX_ITEM  # an item that a text opcode writes with four characters a byte
_MAX_DIGITS = 20

Operand = int | float | memoryview | str | None

_PLAIN = (
    "MARK STOP EMPTY_LIST LIST APPEND APPENDS TUPLE TUPLE1 TUPLE2 TUPLE3 MEMOIZE NEWTRUE NEWFALSE NONE "
    "STACK_GLOBAL REDUCE BUILD EMPTY_TUPLE"
)
_FIXED = {
    "PROTO": "B", "FRAME": "Q", "BINGET": "B", "LONG_BINGET": "I", "BINPUT": "B", "LONG_BINPUT": "I",
    "BININT": "i", "BININT1": "B", "BININT2": "H",
}  # fmt: skip
_BIG_ENDIAN = {"BINFLOAT": "d"}
_COUNTED = {
    "SHORT_BINBYTES": "B", "BINBYTES": "I", "BINBYTES8": "Q", "BYTEARRAY8": "Q", "LONG1": "B",
    "SHORT_BINSTRING": "B", "BINSTRING": "i", "SHORT_BINUNICODE": "B", "BINUNICODE": "I",
}  # fmt: skip
# Opcodes of protocol 0, whose operand is a line of text.
_LINES = ("STRING", "UNICODE", "INT", "LONG", "GET", "PUT")
_GLOBALS = ("GLOBAL", "INST")
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
_NUMBERS = {name: struct.Struct("<" + letter) for name, letter in (_FIXED | _COUNTED).items()}
_NUMBERS |= {name: struct.Struct(">" + letter) for name, letter in _BIG_ENDIAN.items()}
_ALLOWED = {
    code: name for code, name in _NAMES.items() if name in {*_PLAIN.split(), *_NUMBERS, *_LINES, *_GLOBALS}
}
_DICTS = ("EMPTY_DICT", "DICT", "SETITEM", "SETITEMS")
_ALLOWED_WITH_DICTS = _ALLOWED | {code: name for code, name in _NAMES.items() if name in _DICTS}
# Opcodes that make an object of a class, wherever that comes from.
_MAKERS = ("OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID")
# A string as Python 2 writes it; possessive, so that megabytes leave nothing to backtrack to.
_ESCAPED = re.compile(rb"(?:[^\\]++|\\(?:[\\'\"abfnrtv]|x[0-9a-fA-F]{2}))*+")
# Data types put into such files by mistake; any other name may be there to be run.
_DATA_OF_OTHERS = re.compile(
    r"numpy(\._?core)?\.[A-Za-z_.]*(matrix|recarray|memmap|MaskedArray|_mareconstruct|datetime64|str_|bytes_)"
    r"|torch\._utils\._rebuild_\w+|torch\.(\w+Storage|Size|storage\._load_from_bytes)|PIL\.\w+\.\w+|pandas\.[\w.]+"
    r"|mxnet\.ndarray\.[\w.]+|collections\.(OrderedDict|defaultdict|deque)|array\.(array|_array_reconstructor)"
    r"|_?io\.(Bytes|String)IO|imageio\.[\w.]+|easydict\.EasyDict|(argparse|types)\.(Simple)?Namespace|__main__\.\w+"
    r"|(builtins|__builtin__)\.(list|tuple|dict|set|frozenset|bool|int|float|complex|str|object)"
    r"|copy_?reg\._reconstructor|datetime\.\w+|pathlib\.\w+|uuid\.UUID"
)

DANGER = (
    "whoever unpickles it may run code of its maker: don't open it elsewhere, get it from its makers again"
)
UNFIT = (
    "a .bin is pickle.dumps((images, same)) of a list of encoded images (bytes) and a list of booleans; "
    "`arcterm data bin SRC DST.bin` makes one"
)
AGAIN = "it is damaged or no verification set: copy it again, or get it from its makers again"
RAW = (
    "encode each image, e.g. cv2.imencode('.jpg', image)[1].tobytes() (OpenCV takes blue first); "
    "or write the images as files and use `arcterm data bin SRC DST.bin`"
)


def hint_for(name: str) -> str:
    """The next step for a file that names `name`: data of another kind, or code that could be run."""
    return UNFIT if _DATA_OF_OTHERS.fullmatch(name) else DANGER


def opcodes(data: memoryview, path: Path, *, dicts: bool = False) -> Iterator[tuple[str, Operand, int]]:
    """(name, operand, byte offset) of every opcode up to STOP; those of dictionaries only with `dicts`.

    Raises `DataError` naming `path` and the offset for an opcode that isn't allowed, a file that ends too
    early, an item over 16 MiB, or more opcodes than a file of that size can need.
    """
    position, name = 0, ""
    allowed = _ALLOWED_WITH_DICTS if dicts else _ALLOWED
    try:
        for _ in range(min(MAX_OPCODES, 1000 + len(data) // 2)):
            start, code = position, data[position]
            if code not in allowed:
                raise _opcode_error(path, code, start)
            name = allowed[code]
            operand, position = _read_operand(data, name, start + 1)
            yield name, operand, start
            if name == "STOP":
                return
    except (IndexError, struct.error):
        raise DataError(
            f"{path} ends at byte {len(data)}, inside its pickle", "copy it again: it is cut short"
        ) from None
    except _TooLargeError as error:
        raise DataError(
            f"{path}: {name} at byte {start} {error}", f"if these are raw pixels: {RAW}"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: {name} at byte {start} {error}", AGAIN) from None
    raise DataError(f"{path} has more opcodes than images and booleans need", AGAIN)


class _TooLargeError(ValueError):
    """An item over the limit."""

    def __init__(self, size: int) -> None:
        super().__init__(f"has an item of {size} bytes; at most {MAX_ITEM} are allowed")


def _opcode_error(path: Path, code: int, start: int) -> DataError:
    name = _NAMES.get(code)
    if start == 0 and name is None:
        return DataError(f"{path} is no verification set: it doesn't begin as a pickle does", UNFIT)
    if name == "NEXT_BUFFER":
        return DataError(f"{path}: the data of its arrays were stored in other files (byte {start})", UNFIT)
    shown = name or f"0x{code:02x}"
    hint = DANGER if name in _MAKERS else AGAIN if name is None else UNFIT
    return DataError(f"{path}: pickle opcode {shown} at byte {start} isn't allowed", hint)


def _read_operand(data: memoryview, name: str, position: int) -> tuple[Operand, int]:
    """The operand at `position` and where the next opcode is."""
    if name in _GLOBALS:
        words = bytes(data[position : position + MAX_NAME]).split(b"\n", 2)
        if len(words) < 3:
            raise IndexError if position + MAX_NAME > len(data) else ValueError("has a name too long")
        return f"{words[0].decode('latin-1')} {words[1].decode('latin-1')}", position + len(words[0]) + len(
            words[1]
        ) + 2
    if name in _LINES:
        line = _read_line(data, position)
        return _parse_text(name, line), position + len(line) + 1
    number = _NUMBERS.get(name)
    if number is None:
        return None, position
    (value,) = number.unpack_from(data, position)
    position += number.size
    if name not in _COUNTED:
        return value, position
    if not 0 <= value <= MAX_ITEM:
        raise _TooLargeError(value)
    if position + value > len(data):
        raise IndexError
    item = data[position : position + value]
    if name == "LONG1":
        return int.from_bytes(item, "little", signed=True), position + value
    return str(item, "utf-8") if "UNICODE" in name else item, position + value


def _read_line(data: memoryview, position: int) -> bytes:
    """The bytes up to the next line feed, looked for in ever larger pieces."""
    size = MAX_NAME
    while True:
        piece = bytes(data[position : position + size])
        end = piece.find(b"\n")
        if end >= 0:
            return piece[:end]
        if position + size >= len(data):
            raise IndexError
        if size >= _MAX_LINE:
            raise _TooLargeError(size)
        size *= 4


def _parse_text(name: str, line: bytes) -> Operand:
    """Parse the operand of a text opcode; raises `ValueError`."""
    if name == "UNICODE":
        text = line.decode("raw-unicode-escape")
        if len(text) > MAX_ITEM:
            raise _TooLargeError(len(text))
        return text
    if name == "STRING":
        return memoryview(_unescape(line))
    if name == "INT" and line in (b"00", b"01"):
        return line == b"01"
    digits = line.removesuffix(b"L") if name == "LONG" else line
    if not digits.removeprefix(b"-").isdigit() or len(digits) > _MAX_DIGITS:
        raise ValueError("isn't followed by a whole number")
    return int(digits)


def _unescape(line: bytes) -> bytes:
    """A byte string as Python 2 writes it."""
    inside = line[1:-1]
    if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:] or not _ESCAPED.fullmatch(inside):
        raise ValueError("isn't followed by a quoted string")
    found, _ = codecs.escape_decode(inside)
    if len(found) > MAX_ITEM:
        raise _TooLargeError(len(found))
    return bytes(found)
