"""A ``.npy`` that holds a dictionary of dictionaries of arrays, read without unpickling.

`numpy.save` writes an object as an array of one object, which is a pickle after the header.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.lfs import refuse_pointer
from arcterm.formats.pairs import picklemachine
from arcterm.formats.pairs.picklearrays import Array

_LARGEST = 64 << 20
_KINDS = ("f2", "f4", "f8")
_START = b"\x93NUMPY\x01\x00"
_OBJECT = re.compile(rb"\{'descr': '\|O', 'fortran_order': (False|True), 'shape': \(\), \} *\n")

Named = dict[str, dict[str, NDArray[Any]]]


def read(path: Path) -> Named:
    """The arrays of floats in the file `path`, by the two names of each; raises `DataError`."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check its name and permissions") from None
    refuse_pointer(data[:64], path)
    if len(data) > _LARGEST:
        raise DataError(f"{path} is longer than {_LARGEST >> 20} MiB", "no such file of arrays is")
    try:
        start = _find_pickle(data)
        found = _convert(picklemachine.load(memoryview(data)[start:], path, dicts=True))
    except DataError as error:
        # the machine's own advice is on verification sets
        raise DataError(error.message, "it is damaged, or holds more than arrays: get it again") from None
    except ValueError as error:
        raise DataError(f"{path} {error}", "get it from its makers again") from None
    return found


def _find_pickle(data: bytes) -> int:
    """Offset of the pickle after the header of a ``.npy``; raises `ValueError` for any other file."""
    if data[:8] != _START or len(data) < 10:
        raise ValueError("is no .npy file, or is cut short")
    end = 10 + int.from_bytes(data[8:10], "little")
    if not _OBJECT.fullmatch(data[10:end]):
        shown = data[10:end][:100].decode("latin-1").strip()
        raise ValueError(f"holds no dictionary of arrays: its header is {shown!r}")
    return end


def _convert(found: Any) -> Named:
    """Arrays in the place of their descriptions; raises `ValueError` for anything else."""
    inner = found.data if isinstance(found, Array) else None
    if not isinstance(inner, list) or len(inner) != 1 or not isinstance(inner[0], dict):
        raise ValueError("holds no dictionary")
    named: Named = {}
    for layer, parts in inner[0].items():
        if not isinstance(parts, dict):
            raise ValueError(f"holds no dictionary as {layer!r}")
        named[layer] = {name: _to_array(part, f"{layer!r}, {name!r}") for name, part in parts.items()}
    return named


def _to_array(part: Any, where: str) -> NDArray[Any]:
    if not isinstance(part, Array) or part.dtype is None or part.dtype.kind not in _KINDS:
        raise ValueError(f"holds no array of floats as {where}")
    assert isinstance(part.data, memoryview)
    order = ">" if part.dtype.order == ">" else "<"
    flat = np.frombuffer(part.data, order + part.dtype.kind).astype(np.float32)
    return flat.reshape(part.shape, order="F" if part.by_column else "C")
