"""A ``.npy`` of float32 rows, mapped. Its header is matched, not evaluated as numpy does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.recordio.container import map_file

_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(rb"\{'descr': '([^']*)', 'fortran_order': (False|True), 'shape': \(([0-9, ]*)\), \} *\n")
_HINT = "copy it again, or export the features again"


def map_rows(path: Path) -> NDArray[np.float32]:
    """Map the rows of a file, (N, D) float32 and read-only; raises `DataError`."""
    data = map_file(path)
    head = data[:12]
    size, start = (head[8:10], 10) if head[6:7] == b"\1" else (head[8:12], 12)
    end = start + int.from_bytes(size, "little")
    if head[:6] != _MAGIC or len(head) < 12 or end > len(data):
        raise DataError(f"{path} is no .npy file, or is cut short", _HINT)
    if not (match := _HEADER.fullmatch(data[start : min(end, 1000)])):
        raise DataError(f"{path} has a header that isn't an array's", _HINT)
    shape = [int(number) for number in match[3].split(b",") if number.strip().isdigit()]
    if match[1] != b"<f4" or match[2] != b"False" or len(shape) != 2 or 0 in shape:
        shown = ascii(match[0].decode("latin-1").strip())[1:-1]
        raise DataError(f"{path} holds no rows of float32 numbers: {shown:.200}", _HINT)
    rows, width = shape
    if (there := len(data) - end) != rows * width * 4:
        raise DataError(f"{path} has {rows:,} × {width:,} numbers by its header, in {there:,} bytes", _HINT)
    return np.frombuffer(data, "<f4", rows * width, end).reshape(rows, width)
