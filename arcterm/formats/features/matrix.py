"""The matrix file of MegaFace's devkit, which is OpenCV's: one matrix after another.

Each is four int32, little-endian - rows, columns, bytes of a row, and OpenCV's type, 5 for float32 or 6 for
float64 - and then the rows. A feature of D numbers is a file of one matrix, (D, 1, 4, 5).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer

Matrix = NDArray[np.floating[Any]]

HEADER = struct.Struct("<4i")
_TYPES: dict[int, np.dtype[Any]] = {5: np.dtype("<f4"), 6: np.dtype("<f8")}
_MOST = 1000  # matrices of a file: each costs more memory than its bytes
_LARGEST = 1 << 30
_HINT = "write or copy it again; a feature of D numbers is the int32 D, 1, 4, 5 and then D float32"


def read_matrices(path: Path) -> list[Matrix]:
    """Read all matrices of a file, (rows, columns) float32 or float64 each; raises `DataError`."""
    return parse_matrices(read_bytes(path, _LARGEST), path)


def read_bytes(path: Path, most: int) -> bytes:
    """Read a file of at most `most` bytes; raises `DataError`."""
    if path.exists() and not path.is_file():  # opening a pipe would wait for its writer
        raise DataError(f"{path} is not a file", "give the path of a file")
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check its name and permissions") from None
    if len(data) > most:
        raise DataError(f"{path} is longer than {most:,} bytes", _HINT)
    return data


def parse_matrices(data: bytes, path: Path) -> list[Matrix]:
    """Parse the bytes of the file `path`; raises `DataError` naming the byte at which something is wrong."""
    refuse_pointer(data[:64], path)
    found: list[Matrix] = []
    at = 0
    while at < len(data) or not found:
        if len(found) == _MOST:
            raise DataError(f"{path} has more than {_MOST:,} matrices in it", _HINT)
        rows, columns, stride, dtype = _parse_header(data, at, path)
        at += HEADER.size
        row_items = stride // dtype.itemsize
        whole = np.frombuffer(data, dtype, rows * row_items, at).reshape(rows, row_items)
        found.append(whole[:, :columns].astype(dtype.newbyteorder("="), copy=True))
        at += rows * stride
    return found


def _parse_header(data: bytes, at: int, path: Path) -> tuple[int, int, int, np.dtype[Any]]:
    """Rows, columns, bytes of a row and type of the matrix at byte `at`, whose rows are there."""
    if len(data) - at < HEADER.size:
        raise DataError(f"{path} ends at byte {len(data):,}, within a header of {HEADER.size} bytes", _HINT)
    rows, columns, stride, kind = HEADER.unpack_from(data, at)
    where = f"the matrix at byte {at:,}"
    if kind not in _TYPES:
        raise DataError(f"{path}: {where} is of type {kind}, not 5 (float32) or 6 (float64)", _HINT)
    dtype = _TYPES[kind]
    if rows < 1 or columns < 1 or stride < columns * dtype.itemsize or stride % dtype.itemsize:
        raise DataError(f"{path}: {where} says {rows} × {columns} in rows of {stride} bytes", _HINT)
    there = len(data) - at - HEADER.size
    if rows * stride > there:
        raise DataError(
            f"{path} is cut short: {where} has {rows:,} rows of {stride:,} bytes, and {there:,} are left",
            _HINT,
        )
    return rows, columns, stride, dtype


def pack_matrices(matrices: Sequence[Matrix]) -> bytes:
    """The bytes of a file of `matrices`, float32 or float64 (rows, columns) each."""
    parts = []
    for matrix in matrices:
        kind = 6 if matrix.dtype == np.float64 else 5
        rows, columns = matrix.shape
        parts.append(HEADER.pack(rows, columns, columns * _TYPES[kind].itemsize, kind))
        parts.append(matrix.astype(_TYPES[kind]).tobytes())
    return b"".join(parts)


def pack_feature(feature: NDArray[np.float32]) -> bytes:
    """The bytes of the file of a feature (D,)."""
    return pack_matrices([feature[:, None]])


def parse_feature(data: bytes, path: Path) -> NDArray[np.float32]:
    """Parse the file of a feature, one matrix of one column or one row, as (D,) float32.

    Raises `DataError` for a file of anything else.
    """
    found = parse_matrices(data, path)
    if len(found) > 1 or 1 not in found[0].shape:
        shapes = ", ".join(" × ".join(map(str, matrix.shape)) for matrix in found[:3])
        number = f"{len(found):,} matrices" if len(found) > 1 else "a matrix"
        raise DataError(f"{path} is no feature: it holds {number} of {shapes}", _HINT)
    return found[0].ravel().astype(np.float32)
