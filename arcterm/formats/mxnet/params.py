"""MXNet's ``.params``: named arrays in one file, as every version since 2015 wrote them.

``u64 0x112, u64 0, u64 count, arrays, u64 names, (u64 length, bytes) per name``, little-endian; no names at
all, or one per array. An array begins with a word that is its version, then its shape:

- V1 ``F993fac8``: u32 ndim, i64 each. V2 ``F993fac9``: i32 storage (0 is dense) before that.
- V3 ``F993faca``: as V2, and ndim is i32 with -1 for an array without a shape; ndim 0 is a scalar.
- V0: the word itself is ndim, then u32 each.

There follow i32 device type, i32 device number, i32 dtype and the values. An array that was never filled
stops after its shape: no dimensions (V0 to V2), or -1 for their number or one of them (V3).
Source: `NDArray::Save` and `Load` in MXNet's ``ndarray.cc``.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.files import staged_file
from arcterm.formats.recordio.container import map_file

Array = NDArray[Any]

_MAGIC = 0x112
_V1, _V2, _V3 = 0xF993FAC8, 0xF993FAC9, 0xF993FACA
_STORAGE = {1: "row-sparse", 2: "CSR-sparse"}
_MAX_ARRAYS = 1_000_000  # the largest networks have some ten thousand
_MAX_DIMENSIONS = 32
_BOOL, _BF16 = 7, 12
_DTYPES = {
    0: "<f4", 1: "<f8", 2: "<f2", 3: "u1", 4: "<i4", 5: "i1", 6: "<i8", _BOOL: "u1",
    8: "<i2", 9: "<u2", 10: "<u4", 11: "<u8", _BF16: "<u2",
}  # fmt: skip
_FLAGS = {np.dtype(_DTYPES[flag]): flag for flag in range(_BOOL)} | {np.dtype(bool): _BOOL}


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a file's arrays by name, without their values; raises `DataError` as `read` does."""
    return {name: array.shape for name, array in _arrays(path, copied=False).items()}


def read(path: Path) -> dict[str, Array]:
    """The arrays of a file in its order, by the names in it (``arg:conv0_weight``); "0", "1", … if unnamed.

    Dtypes are the file's, but bfloat16 becomes float32. An array that was never filled has shape (0,). What
    is allocated is in proportion to the file's size. Raises `DataError` that names the byte that is wrong.
    """
    return _arrays(path, copied=True)


def _arrays(path: Path, *, copied: bool) -> dict[str, Array]:
    """The arrays of a file, or if they aren't `copied` arrays of their shapes that take no memory."""
    cursor = _Cursor(path)
    if cursor.number("Q", "the file's first word") != _MAGIC or cursor.number("Q", "a reserved word") != 0:
        raise cursor.broken("isn't a list of MXNet arrays: it doesn't begin with 0x112 and 0", at=0)
    count = cursor.count("the number of arrays", least_bytes=4)
    arrays = [_read_array(cursor, f"array {number}", copied) for number in range(count)]
    names = list(_read_names(cursor, count))
    if cursor.left:
        raise cursor.broken(f"goes on for {cursor.left} bytes after its last name")
    return dict(zip(names, arrays, strict=True))


def write(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write `arrays` to `path` as MXNet 1.x does (V2, dense); the file appears whole or not at all.

    Raises `ValueError` for arrays that MXNet 1.x can't store: other dtypes than float16, 32, 64, int8, 32,
    64, uint8 and bool, and scalars. Raises `DataError` if the disk doesn't take it.
    """
    for name, array in arrays.items():
        if array.dtype not in _FLAGS or not 0 < array.ndim <= _MAX_DIMENSIONS:
            raise ValueError(f"MXNet has no array like {name!r}: {array.dtype}, shape {array.shape}")
    with staged_file(path) as stage, stage.open("wb") as file:
        file.write(struct.pack("<QQQ", _MAGIC, 0, len(arrays)))
        for array in arrays.values():
            file.write(struct.pack(f"<IiI{array.ndim}q", _V2, 0, array.ndim, *array.shape))
            file.write(struct.pack("<iii", 1, 0, _FLAGS[array.dtype]))
            file.write(array.astype(array.dtype.newbyteorder("<"), order="C").data)
        file.write(struct.pack("<Q", len(arrays)))
        for name in arrays:
            encoded = name.encode()
            file.write(struct.pack("<Q", len(encoded)) + encoded)


class _Cursor:
    """A place in a mapped file; every step checks what is left before it takes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.map: mmap.mmap = map_file(path)
        self.at = 0

    @property
    def left(self) -> int:
        return len(self.map) - self.at

    def take(self, size: int, what: str) -> int:
        """Skip `size` bytes and return the offset of the first."""
        if size > self.left:
            raise self.broken(f"ends within {what}: {size} bytes of it are due and {self.left} are left")
        self.at += size
        return self.at - size

    def numbers(self, layout: str, what: str) -> tuple[int, ...]:
        """Numbers of a `struct` layout, little-endian."""
        form = struct.Struct(f"<{layout}")
        return form.unpack_from(self.map, self.take(form.size, what))

    def number(self, layout: str, what: str) -> int:
        return self.numbers(layout, what)[0]

    def count(self, what: str, least_bytes: int) -> int:
        """A u64 that counts things of at least so many bytes each."""
        start = self.at
        count = self.number("Q", what)
        if count > min(self.left // least_bytes, _MAX_ARRAYS):
            raise self.broken(f"says {count} for {what}, which {self.left} bytes can't hold", start)
        return count

    def broken(self, what: str, at: int | None = None, hint: str = "") -> DataError:
        return DataError(
            f"{self.path}, byte {self.at if at is None else at}: the file {what}",
            hint or "it was cut short or damaged, or is no .params file: copy it again",
        )


def _read_array(cursor: _Cursor, what: str, copied: bool) -> Array:
    start = cursor.at
    version = cursor.number("I", what)
    shape = _read_shape(cursor, version, what)
    if shape is None:
        return np.empty(0, np.float32)
    *_, flag = cursor.numbers("iii", what)
    if flag not in _DTYPES:
        raise cursor.broken(f"has dtype {flag} for {what}, which MXNet never had", start)
    dtype = np.dtype(_DTYPES[flag])
    # A 0 among the dimensions must not hide that numpy couldn't address the others, as 8 bytes at most.
    if math.prod(max(side, 1) for side in shape) * 8 >= 2**63:
        raise cursor.broken(f"gives {what} the impossible shape {shape}", start)
    size = math.prod(shape)
    first = cursor.take(size * dtype.itemsize, f"the values of {what}, shape {shape}")
    if not copied:
        return np.broadcast_to(np.empty((), np.bool_), shape)
    return _copy_values(np.frombuffer(cursor.map, dtype, size, first), flag).reshape(shape)


def _copy_values(stored: Array, flag: int) -> Array:
    """A copy of mapped values that owns its memory, in a dtype that numpy has."""
    if flag == _BOOL:
        return np.not_equal(stored, 0)
    if flag == _BF16:  # the upper half of a float32
        return (stored.astype("<u4") << 16).view("<f4")
    return stored.copy()


def _read_shape(cursor: _Cursor, version: int, what: str) -> tuple[int, ...] | None:
    """The shape, or None where the array ends with it."""
    start = cursor.at - 4
    if version in (_V2, _V3):
        storage = cursor.number("i", what)
        if storage != 0:
            kind = _STORAGE.get(storage, f"of the unknown storage type {storage}")
            dense = "save it again with array.tostype('default')"
            raise cursor.broken(f"holds {what}, which is {kind}; only dense arrays are read", start, dense)
    if version == _V3:
        dimensions = cursor.number("i", what)
    else:
        dimensions = cursor.number("I", what) if version in (_V1, _V2) else version
    if not -1 <= dimensions <= _MAX_DIMENSIONS:
        raise cursor.broken(f"gives {what} {dimensions} dimensions, or is no version we know", start)
    if dimensions < 0 or (dimensions == 0 and version != _V3):
        return None
    side = "q" if version in (_V1, _V2, _V3) else "I"
    shape = cursor.numbers(f"{dimensions}{side}", f"the shape of {what}")
    if version == _V3 and -1 in shape:
        return None
    if any(side < 0 for side in shape):
        raise cursor.broken(f"gives {what} the impossible shape {shape}", start)
    return shape


def _read_names(cursor: _Cursor, arrays: int) -> Iterator[str]:
    start = cursor.at
    count = cursor.count("the number of names", least_bytes=8)
    if count == 0:
        yield from map(str, range(arrays))
        return
    if count != arrays:
        raise cursor.broken(f"has {count} names for {arrays} arrays", start)
    seen = set()
    for number in range(count):
        start = cursor.at
        length = cursor.number("Q", f"the length of name {number}")
        first = cursor.take(length, f"name {number}")
        try:
            name = cursor.map[first : first + length].decode()
        except UnicodeDecodeError:
            raise cursor.broken(f"has bytes for name {number} that aren't UTF-8", start) from None
        if not name.isprintable():
            raise cursor.broken(f"has control characters in name {number}", start)
        if name in seen:
            raise cursor.broken(f"has two arrays named {name[:80]!r}", start)
        seen.add(name)
        yield name
