"""A small machine that understands pickles of images and booleans, and can do nothing else.

It knows byte strings as Python 2 and Python 3 write them at every protocol, and numpy arrays by the patterns
of calls that numpy writes for them. It imports nothing and calls nothing that a file names.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from arcterm.errors import DataError
from arcterm.formats.pairs import picklearrays
from arcterm.formats.pairs.opcodes import AGAIN, Operand, hint_for, opcodes
from arcterm.formats.pairs.picklearrays import Array, DType

MAX_ITEMS = 1_000_000


class Known(Enum):
    """The globals that a file may name."""

    RECONSTRUCT = "_reconstruct"
    FROM_BUFFER = "_frombuffer"
    SCALAR = "scalar"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    ENCODE = "_codecs.encode"
    BYTES = "bytes"
    BYTEARRAY = "bytearray"


class RefusedError(Exception):
    """An opcode that is refused, and the next step."""

    def __init__(self, reason: str, hint: str = AGAIN) -> None:
        super().__init__(reason)
        self.hint = hint


_GLOBALS = {
    **{f"numpy.{core}.multiarray _reconstruct": Known.RECONSTRUCT for core in ("core", "_core")},
    **{f"numpy.{core}.numeric _frombuffer": Known.FROM_BUFFER for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray scalar": Known.SCALAR for core in ("core", "_core")},
    "numpy ndarray": Known.NDARRAY,
    "numpy dtype": Known.DTYPE,
    "_codecs encode": Known.ENCODE,
    **{f"{module} bytes": Known.BYTES for module in ("builtins", "__builtin__")},
    **{f"{module} bytearray": Known.BYTEARRAY for module in ("builtins", "__builtin__")},
}


def load(data: memoryview, path: Path, *, dicts: bool = False) -> Any:
    """Contents of the pickle `data` of the file `path`: tuples, lists, views, `Array`, bool, int, str, None.

    With `dicts` also dictionaries, whose keys are texts of up to 16 characters. Raises `DataError` naming the
    opcode and its offset for anything else.
    """
    machine = _Machine(len(data))
    for name, operand, position in opcodes(data, path, dicts=dicts):
        try:
            machine.step(name, operand)
        except RefusedError as refused:
            raise DataError(f"{path}: {name} at byte {position} {refused}", refused.hint) from None
        except (IndexError, KeyError):
            raise DataError(f"{path}: {name} at byte {position} finds nothing to work on", AGAIN) from None
    return machine.stack[0] if len(machine.stack) == 1 else None


class _Machine:
    """A stack, marks into it, and a memo: a dict, so that its size is what was put, not the largest key."""

    def __init__(self, size: int) -> None:
        # Texts that may still be encoded: an honest file has each in it, and none twice.
        self.left = size
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[Operand, Any] = {}

    def step(self, name: str, operand: Operand) -> None:
        """Run one opcode, the most frequent first; raises `RefusedError`, IndexError or KeyError."""
        if name in _PUSHED:
            self.stack.append(_PUSHED[name] if operand is None else operand)
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE", "PUT"):
            place = len(self.memo) if operand is None else operand
            if place in self.memo:
                raise RefusedError("stores a second thing in one place")
            self.memo[place] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            self.stack.append(self.memo[operand])
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name not in ("PROTO", "FRAME", "STOP"):
            self._build(name, operand)

    def _build(self, name: str, operand: Operand) -> None:
        stack = self.stack
        match name:
            case "TUPLE" | "LIST":
                items = self._pop_mark()
                stack.append(tuple(items) if name == "TUPLE" else items)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.marks.append(len(stack) - int(name[-1]))
                stack.append(tuple(self._pop_mark()))
            case "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append([] if name == "EMPTY_LIST" else ())
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if name == "APPEND" else self._pop_mark()
                _extend_list(stack[-1], items)
            case "GLOBAL" | "INST":
                stack.append(_find_global(str(operand)))
                if name == "INST":
                    raise RefusedError("makes an instance of a class")
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                if not (isinstance(module, str) and isinstance(attribute, str)):
                    raise RefusedError("names something that isn't text")
                stack.append(_find_global(f"{module} {attribute}"))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self._call(function, arguments))
            case "BUILD":
                state = stack.pop()
                _set_state(stack[-1], state)
            case _:
                self._build_dict(name)

    def _build_dict(self, name: str) -> None:
        """Run an opcode of dictionaries; none other is left."""
        if name == "EMPTY_DICT":
            self.stack.append({})
            return
        if name == "SETITEM":
            self.marks.append(len(self.stack) - 2)
        items = self._pop_mark()
        if name == "DICT":
            self.stack.append({})
        _extend_dict(self.stack[-1], items)

    def _call(self, function: Any, arguments: Any) -> Any:
        match function, arguments:
            case Known.ENCODE | Known.BYTEARRAY, (str() as text, name) if _is_latin_1(name):
                return self._encode(text)
            case Known.BYTES | Known.BYTEARRAY, ():
                return memoryview(b"")
            case Known.BYTES | Known.BYTEARRAY, (memoryview() as data,):
                return data
        try:
            return _make_array(function, arguments)
        except ValueError as error:
            raise RefusedError(str(error)) from None

    def _encode(self, text: str) -> memoryview:
        self.left -= len(text)
        if self.left < 0:
            raise RefusedError("encodes more text than the file has")
        try:
            return memoryview(text.encode("latin-1"))
        except UnicodeEncodeError:
            raise RefusedError("encodes text that isn't latin-1") from None

    def _pop_mark(self) -> list[Any]:
        mark = self.marks.pop()
        if not 0 <= mark <= len(self.stack):
            raise IndexError
        items = self.stack[mark:]
        del self.stack[mark:]
        return items


# Opcodes that push their operand, or the value given here.
_PUSHED: dict[str, bool | None] = {
    "SHORT_BINSTRING": None, "BINSTRING": None, "SHORT_BINBYTES": None, "BINBYTES": None, "BINBYTES8": None,
    "BYTEARRAY8": None, "STRING": None, "UNICODE": None, "INT": None, "LONG": None, "LONG1": None,
    "BINFLOAT": None, "SHORT_BINUNICODE": None, "BINUNICODE": None, "BININT": None, "BININT1": None,
    "BININT2": None, "NEWTRUE": True, "NEWFALSE": False, "NONE": None,
}  # fmt: skip


def _extend_list(target: Any, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise RefusedError("adds to something that isn't a list")
    if len(target) + len(items) > MAX_ITEMS:
        raise RefusedError(f"makes a list of more than {MAX_ITEMS} items")
    target.extend(items)


def _extend_dict(target: Any, items: list[Any]) -> None:
    """Put keys and values, by turns, into `target`."""
    keys = [picklearrays.text(key) for key in items[::2]]
    if not isinstance(target, dict) or len(items) % 2 or not all(keys):
        raise RefusedError("fills something else than a dictionary of short names")
    target.update(zip(keys, items[1::2], strict=True))


def _find_global(name: str) -> Known:
    if name not in _GLOBALS:
        shown = name[:100].replace(" ", ".")
        raise RefusedError(f"names {shown!r}, which isn't allowed", hint_for(shown))
    return _GLOBALS[name]


def _make_array(function: Known, arguments: Any) -> Any:
    match function, arguments:
        case Known.DTYPE, _:
            return picklearrays.dtype(arguments)
        case Known.RECONSTRUCT, (Known.NDARRAY, (0,), kind) if picklearrays.text(kind) == "b":
            return Array()
        case Known.FROM_BUFFER, (memoryview() as data, DType() as kind, shape, _):
            return _fill(Array(kind), shape, data)
        case Known.SCALAR, (DType() as kind, memoryview() as data):
            return _fill(Array(kind), (), data)
    raise RefusedError("calls something else than the makers of bytes and arrays")


def _set_state(target: Any, state: Any) -> None:
    try:
        match target, state:
            case DType(), _:
                return picklearrays.set_order(target, state)
            case Array(data=None), (1, shape, DType() as kind, bool() | 0 | 1 as by_column, data):
                target.dtype = kind
                target.by_column = bool(by_column)
                _fill(target, shape, data)
                return None
    except ValueError as error:
        raise RefusedError(str(error)) from None
    raise RefusedError("sets the state of something else than an array")


def _fill(array: Array, shape: Any, data: Any) -> Array:
    array.fill(shape, data)
    return array


def _is_latin_1(name: Any) -> bool:
    return picklearrays.text(name) in ("latin1", "latin-1")
