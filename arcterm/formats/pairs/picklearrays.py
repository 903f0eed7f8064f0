"""NumPy arrays as a pickle describes them: the calls are understood, and no array is made.

A file may name four makers: of a dtype, of an empty array whose state follows, of an array over a buffer
(protocol 5), and of a scalar. Their data stay views into the file.
"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

_KIND = re.compile(r"[biufSUOVmMc][0-9]{0,9}")
_NUMBERS = re.compile(r"b1|[iu][1248]|f[248]")
_MOST_SIDES = 32
_SHOWN_SIDES = 6


class DType:
    """The type of an array's items, e.g. ``u1`` or ``i8``; `order` is ``|``, ``<`` or ``>``."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.order = "|"

    @property
    def size(self) -> int:
        """Bytes of an item."""
        return int(self.kind[1:] or 0) * (4 if self.kind[0] == "U" else 1)


class Array:
    """An array or a scalar: `data` are its bytes, or its objects, once the file has given them."""

    def __init__(self, dtype: DType | None = None) -> None:
        self.dtype = dtype
        self.shape: tuple[int, ...] = (0,)
        self.data: memoryview | list[Any] | None = None
        self.by_column = False
        """Whether the first index runs fastest in `data`, as in Fortran."""

    def fill(self, shape: Any, data: Any) -> None:
        """Take `data` for an array of `shape`; raises ValueError if they don't belong together."""
        if self.dtype is None or not isinstance(shape, tuple) or not _is_shape(shape):
            raise ValueError("gives an array without a shape")
        count = math.prod(shape)
        if isinstance(data, list):
            fits = self.dtype.kind[0] == "O" and len(data) == count
        else:
            fits = isinstance(data, memoryview) and self.dtype.kind[0] != "O"
            fits = fits and len(data) == count * self.dtype.size
        if not fits:
            raise ValueError(f"gives other data than a {self.words()} has")
        self.shape, self.data = shape, data

    def words(self) -> str:
        """Type and sides, e.g. ``u1 array of 112×112×3``."""
        kind = self.dtype.kind if self.dtype else "nameless"
        sides = "×".join(str(side) for side in self.shape[:_SHOWN_SIDES])
        return f"{kind} array of {sides}" if sides else f"{kind} number"

    @property
    def count(self) -> int:
        """Number of items."""
        return math.prod(self.shape)

    @property
    def one_side(self) -> bool:
        """Whether at most one of the sides is longer than 1."""
        return len([side for side in self.shape if side != 1]) <= 1

    def image(self) -> memoryview | None:
        """The bytes of a uint8 array with one side, or of a byte string; None for another array."""
        if not isinstance(self.data, memoryview) or self.dtype is None:
            return None
        whole = self.one_side if self.dtype.kind == "u1" else self.dtype.kind[0] == "S" and self.count == 1
        return self.data if whole else None

    def numbers(self) -> list[Any] | None:
        """The numbers of an array with one side; None for another."""
        if not isinstance(self.data, memoryview) or self.dtype is None or not self.one_side:
            return None
        if not _NUMBERS.fullmatch(self.dtype.kind):
            return None
        order = self.dtype.order if self.dtype.order in "<>" else "<"
        kind = self.dtype.kind.replace("b1", "u1")  # a bool that is neither 0 nor 1 is seen so
        found: list[Any] = np.frombuffer(self.data, order + kind).tolist()
        return found

    def items(self) -> list[Any] | None:
        """The things in an array with one side: objects, byte strings, or numbers; None for another."""
        if not self.one_side or self.dtype is None:
            return None
        if isinstance(self.data, list):
            return self.data
        if self.data is not None and self.dtype.kind[0] == "S" and self.dtype.size:
            return [
                _strip_padding(self.data[at : at + self.dtype.size])
                for at in range(0, len(self.data), self.dtype.size)
            ]
        return self.numbers()


def dtype(arguments: Any) -> DType:
    """Result of calling ``numpy.dtype``; raises `ValueError`."""
    match arguments:
        case (kind, 0, 1) if _KIND.fullmatch(text(kind)):
            return DType(text(kind))
    raise ValueError("makes a dtype of other arguments than numpy's")


def set_order(target: DType, state: Any) -> None:
    """Do as ``numpy.dtype.__setstate__``; raises `ValueError` for a dtype of several fields."""
    match state:
        case (3, order, None, None, None, int(), int(), int()) if text(order) in ("|", "<", ">", "="):
            target.order = text(order)
            return
    raise ValueError("makes a dtype of several fields, or another that isn't known here")


def text(value: Any) -> str:
    """A str, or a short byte string as Python 2 had it; empty for anything else."""
    if isinstance(value, memoryview) and len(value) <= 16:
        return str(value, "latin-1")
    return value if isinstance(value, str) else ""


def _is_shape(shape: tuple[Any, ...]) -> bool:
    """Whether `shape` is a few numbers, and not something that is costly to multiply or to print."""
    return len(shape) <= _MOST_SIDES and all(type(side) is int and 0 <= side < 1 << 40 for side in shape)


def _strip_padding(item: memoryview) -> memoryview:
    """A byte string without numpy's zero padding."""
    return item[: len(bytes(item).rstrip(b"\0"))]
