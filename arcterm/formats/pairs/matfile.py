"""MATLAB's level-5 files (``.mat``), as far as protocols need: numbers, text, cells and structures.

Layout: "MAT-File Format", The MathWorks; a header of 128 bytes, then elements of a tag and a content, padded
to 8 bytes. Nothing in a file is run, and no file takes more memory than `MAX_BYTES` and its own size.
"""

from __future__ import annotations

import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer

MAX_BYTES = 256 << 20
"""Of a file, and of all that is packed in it."""
MAX_DEPTH = 16
MAX_MATRICES = 1_000_000

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMERIC = range(6, 16)
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {16: "utf-8", 17: "utf-16", 18: "utf-32"}
_HINT = "get the file again, or write its pairs as lines of two paths and 0 or 1"


class _DamagedError(Exception):
    """Why a file can't be read."""


@dataclass(frozen=True)
class Matrix:
    """A matrix in MATLAB's order, column by column: numbers, text, cells, or a structure's fields by name.

    Of cells `items` are matrices; of a structure each is a dictionary of them. A matrix of another kind, such
    as a function or an object, has none.
    """

    shape: tuple[int, ...]
    numbers: NDArray[Any] | None = None
    text: str | None = None
    items: tuple[Any, ...] = ()


def read_mat(path: Path, hint: str = _HINT) -> dict[str, Matrix]:
    """Read the variables of a level-5 file by name; raises `DataError` with `hint`."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(f"{path} has more than {MAX_BYTES} bytes: it is no protocol", hint)
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check the path") from None
    refuse_pointer(data, path)
    if data.startswith(b"\x89HDF"):
        raise DataError(f"{path} is MATLAB's format 7.3", "write it again with `save -v7`")
    mark = data[126:128]
    if mark not in (b"IM", b"MI"):
        raise DataError(f"{path} is no .mat file of MATLAB's level 5", hint)
    reader = _Reader("<" if mark == b"IM" else ">")
    try:
        return reader.variables(data[_HEADER:])
    except (_DamagedError, struct.error, zlib.error, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path} is a damaged .mat file: {error}", hint) from None


class _Reader:
    """Reads elements in one byte order, and counts what it has made room for."""

    def __init__(self, order: str) -> None:
        self._order = order
        self._matrices = 0
        self._room = MAX_BYTES

    def variables(self, data: bytes) -> dict[str, Matrix]:
        found: dict[str, Matrix] = {}
        at = 0
        while at < len(data):
            kind, content, at = self._element(data, at)
            if kind == _COMPRESSED:
                kind, content, _ = self._element(self._inflate(content), 0)
            if kind == _MATRIX:
                name, matrix = self._matrix(content, 0)
                found[name] = matrix
        return found

    def _inflate(self, content: bytes) -> bytes:
        unpacker = zlib.decompressobj()
        whole = unpacker.decompress(content, self._room)
        self._room -= len(whole)
        if self._room <= 0:
            raise _DamagedError(f"more than {MAX_BYTES} bytes are packed in it")
        return whole

    def _element(self, data: bytes, at: int) -> tuple[int, bytes, int]:
        """Type and content of the element at an offset, and the offset of the next."""
        (kind,) = struct.unpack_from(f"{self._order}I", data, at)
        if kind >> 16:  # a small element: its length and content share the eight bytes of the tag
            kind, length, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            if length > 4:
                raise _DamagedError(f"a small element has {length} bytes")
        else:
            (length,) = struct.unpack_from(f"{self._order}I", data, at + 4)
            start = at + 8
            end = start + (length if kind == _COMPRESSED else -(-length // 8) * 8)
        if start + length > len(data):
            raise _DamagedError("it ends early")
        return kind, data[start : start + length], end

    def _matrix(self, data: bytes, depth: int) -> tuple[str, Matrix]:
        self._matrices += 1
        if depth > MAX_DEPTH or self._matrices > MAX_MATRICES:
            raise _DamagedError("it has too many matrices within one another")
        if not data:  # an empty cell
            return "", Matrix((0, 0))
        _, flags, at = self._element(data, 0)
        kind = struct.unpack_from(f"{self._order}I", flags)[0] & 0xFF
        sides, at = self._whole_numbers(data, at)
        shape = tuple(int(side) for side in sides)
        if len(shape) < 2 or min(shape) < 0:
            raise _DamagedError(f"a matrix has the sides {shape}")
        _, name, at = self._element(data, at)
        if kind == _CELL:
            items, _ = self._matrices_at(data, at, _product(shape), depth)
            return name.decode("latin-1"), Matrix(shape, items=tuple(items))
        if kind == _STRUCT:
            return name.decode("latin-1"), self._structure(data, at, shape, depth)
        if kind == _CHAR:
            return name.decode("latin-1"), Matrix(shape, text=self._text(data, at))
        if kind in _NUMERIC:
            numbers, _ = self._array(data, at)
            if len(numbers) != _product(shape):
                raise _DamagedError(f"a matrix of {shape} has {len(numbers)} numbers")
            return name.decode("latin-1"), Matrix(shape, numbers=numbers)
        return name.decode("latin-1"), Matrix(shape)

    def _structure(self, data: bytes, at: int, shape: tuple[int, ...], depth: int) -> Matrix:
        (length, *_), at = self._whole_numbers(data, at)
        _, joined, at = self._element(data, at)
        if not 0 < length <= 64:
            raise _DamagedError(f"the names of fields have {length} bytes")
        names = [joined[i : i + length].split(b"\0")[0].decode() for i in range(0, len(joined), int(length))]
        values, _ = self._matrices_at(data, at, _product(shape) * len(names), depth)
        rows = [values[i : i + len(names)] for i in range(0, len(values), max(len(names), 1))]
        return Matrix(shape, items=tuple(dict(zip(names, row, strict=True)) for row in rows))

    def _matrices_at(self, data: bytes, at: int, count: int, depth: int) -> tuple[list[Matrix], int]:
        found: list[Matrix] = []
        for _ in range(count):
            kind, content, at = self._element(data, at)
            if kind != _MATRIX:
                raise _DamagedError(f"an element of type {kind} stands for a matrix")
            found.append(self._matrix(content, depth + 1)[1])
        return found, at

    def _array(self, data: bytes, at: int) -> tuple[NDArray[Any], int]:
        kind, content, after = self._element(data, at)
        if kind not in _TYPES:
            raise _DamagedError(f"an element of type {kind} stands for numbers")
        return np.frombuffer(content, np.dtype(self._order + _TYPES[kind])), after

    def _whole_numbers(self, data: bytes, at: int) -> tuple[NDArray[Any], int]:
        found, after = self._array(data, at)
        if found.dtype.kind == "f":
            raise _DamagedError("fractions stand for whole numbers")
        return found, after

    def _text(self, data: bytes, at: int) -> str:
        kind, content, _ = self._element(data, at)
        if kind in _TEXTS:
            wide = {"<": "-le", ">": "-be"}[self._order] if kind > 16 else ""
            return content.decode(_TEXTS[kind] + wide)
        codes, _ = self._whole_numbers(data, at)
        if len(codes) and codes.max() > sys.maxunicode:
            raise _DamagedError(f"a text has the character {codes.max()}")
        return "".join(map(chr, codes.tolist()))


def _product(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count
