"""Names of the inputs and outputs of an ONNX file, read without the onnx package.

A file is a protobuf message ModelProto, whose field 7 is the graph; of its fields 11 and 12, the inputs and
outputs, field 1 is the name. Source: ``onnx.proto`` and protobuf's encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

_GRAPH, _INPUT, _OUTPUT, _NAME = 7, 11, 12, 1
_VARINT, _EIGHT, _COUNTED, _FOUR = 0, 1, 2, 5


class Names(NamedTuple):
    """The names of a graph's inputs and outputs, in the file's order."""

    inputs: list[str]
    outputs: list[str]


def read_names(data: bytes) -> Names:
    """Names of the graph of the ONNX file `data`; raises `ValueError` if it is none."""
    names = Names([], [])
    for number, graph in _counted_fields(memoryview(data)):
        if number == _GRAPH:
            for part, value in _counted_fields(graph):
                if part in (_INPUT, _OUTPUT):
                    named = (str(text, "utf-8") for at, text in _counted_fields(value) if at == _NAME)
                    names[part - _INPUT].extend(named)
    if not names.outputs:
        raise ValueError("it has no graph with outputs")
    return names


def _counted_fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(number, bytes) of each field that has a length; numbers are passed over."""
    at = 0
    while at < len(data):
        key, at = _read_varint(data, at)
        kind = key & 7
        if kind == _COUNTED:
            length, at = _read_varint(data, at)
            if length > len(data) - at:
                raise ValueError(f"it ends within a field of {length} bytes")
            yield key >> 3, data[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _read_varint(data, at)
        elif kind in (_EIGHT, _FOUR):
            at += 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"it has a field of the unknown kind {kind}")
    if at != len(data):
        raise ValueError("it ends within a number")


def _read_varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and the place after it."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends within a number")
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
    raise ValueError("it has a number of more than 64 bits")
