"""A small machine that understands pickles of images and booleans, and can do nothing else.

It knows byte strings as Python 2 and Python 3 write them, and numpy uint8 arrays by the one pattern of calls
that numpy writes for them. It imports nothing and calls nothing that a file names.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Any

from arcterm.errors import DataError
from arcterm.formats.opcodes import HINT, Operand, opcodes

MAX_ITEMS = 1_000_000


class Known(Enum):
    """The globals that a file may name, and what calling dtype gives."""

    RECONSTRUCT = "_reconstruct"
    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    ENCODE = "_codecs.encode"
    UINT8 = "dtype('u1')"


class Array:
    """A numpy uint8 array; `data` are its bytes once the file has given them."""

    data: memoryview | None = None


class RefusedError(Exception):
    """What is wrong with the opcode at hand."""


_GLOBALS = {
    "numpy.core.multiarray _reconstruct": Known.RECONSTRUCT,
    "numpy._core.multiarray _reconstruct": Known.RECONSTRUCT,
    "numpy ndarray": Known.NDARRAY,
    "numpy dtype": Known.DTYPE,
    "_codecs encode": Known.ENCODE,
}


def load(data: memoryview, path: Path) -> Any:
    """What the pickle `data` of the file `path` holds: tuples, lists, views, `Array`, bool, int, str, None.

    Raises `DataError` naming the opcode and its offset for anything else.
    """
    machine = _Machine()
    for name, operand, position in opcodes(data, path):
        try:
            machine.step(name, operand)
        except RefusedError as refused:
            raise DataError(f"{path}: {name} at byte {position} {refused}", HINT) from None
        except (IndexError, KeyError):
            raise DataError(f"{path}: {name} at byte {position} finds nothing to work on", HINT) from None
    return machine.stack[0] if len(machine.stack) == 1 else None


class _Machine:
    """A stack, marks into it, and a memo: a dict, so that its size is what was put, not the largest key."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[Operand, Any] = {}

    def step(self, name: str, operand: Operand) -> None:
        """Run one opcode, the most frequent first; raises `RefusedError`, IndexError or KeyError."""
        if name in _PUSHED:
            self.stack.append(_PUSHED[name] if operand is None else operand)
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            place = len(self.memo) if operand is None else operand
            if place in self.memo:
                raise RefusedError("stores a second thing in one place")
            self.memo[place] = self.stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[operand])
        elif name == "MARK":
            self.marks.append(len(self.stack))
        elif name not in ("PROTO", "FRAME", "STOP"):
            self._build(name, operand)

    def _build(self, name: str, operand: Operand) -> None:
        stack = self.stack
        match name:
            case "TUPLE" | "LIST":
                items = self._since_mark()
                stack.append(tuple(items) if name == "TUPLE" else items)
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                self.marks.append(len(stack) - int(name[-1]))
                stack.append(tuple(self._since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND" | "APPENDS":
                items = [stack.pop()] if name == "APPEND" else self._since_mark()
                _extend(stack[-1], items)
            case "GLOBAL":
                stack.append(_global(str(operand)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                if not (isinstance(module, str) and isinstance(attribute, str)):
                    raise RefusedError("names something that isn't text")
                stack.append(_global(f"{module} {attribute}"))
            case "REDUCE":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_call(function, arguments))
            case "BUILD":
                state = stack.pop()
                _set_state(stack[-1], state)

    def _since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        if not 0 <= mark <= len(self.stack):
            raise IndexError
        items = self.stack[mark:]
        del self.stack[mark:]
        return items


# Opcodes that push their operand, or what stands here.
_PUSHED: dict[str, bool | None] = {
    "SHORT_BINSTRING": None,
    "BINSTRING": None,
    "SHORT_BINBYTES": None,
    "BINBYTES": None,
    "BINBYTES8": None,
    "SHORT_BINUNICODE": None,
    "BINUNICODE": None,
    "BININT": None,
    "BININT1": None,
    "BININT2": None,
    "NEWTRUE": True,
    "NEWFALSE": False,
    "NONE": None,
}


def _extend(target: Any, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise RefusedError("adds to something that isn't a list")
    if len(target) + len(items) > MAX_ITEMS:
        raise RefusedError(f"makes a list of more than {MAX_ITEMS} items")
    target.extend(items)


def _global(name: str) -> Known:
    if name not in _GLOBALS:
        raise RefusedError(f"names {name[:100].replace(' ', '.')!r}, which isn't allowed")
    return _GLOBALS[name]


def _call(function: Any, arguments: Any) -> Any:
    match function, arguments:
        case Known.ENCODE, (str() as text, "latin1" | "latin-1"):
            try:
                return memoryview(text.encode("latin-1"))
            except UnicodeEncodeError:
                raise RefusedError("encodes text that isn't latin-1") from None
        case Known.DTYPE, (kind, 0, 1) if _is(kind, "u1"):
            return Known.UINT8
        case Known.RECONSTRUCT, (Known.NDARRAY, (0,), kind) if _is(kind, "b"):
            return Array()
    raise RefusedError("calls something else than the makers of bytes and uint8 arrays")


def _set_state(target: Any, state: Any) -> None:
    match target, state:
        case Known.UINT8, (3, order, None, None, None, -1, -1, 0) if _is(order, "|"):
            return
        case Array(), (1, tuple() as shape, Known.UINT8, bool(), memoryview() as data) if _sides(shape):
            if ([side for side in shape if side != 1] or [1]) != [len(data)]:
                raise RefusedError(f"makes an array of shape {shape}; an encoded image has one side")
            target.data = data
            return
    raise RefusedError("sets the state of something else than a uint8 array")


def _sides(shape: tuple[Any, ...]) -> bool:
    """Whether `shape` is a few numbers, and not something that is costly to compare or to print."""
    return len(shape) <= 4 and all(type(side) is int for side in shape)


def _is(value: Any, text: str) -> bool:
    """Whether `value` is `text`, as a str or as bytes."""
    return bool(value == (text.encode() if isinstance(value, memoryview) else text))
