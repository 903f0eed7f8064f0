"""Safetensors files written a piece at a time: no second copy of what is saved, and one pass for its digest.

The bytes are those of the safetensors library, which takes all tensors from the host's memory at once and
leaves the digest to a second reading (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from arcterm.files import sync
from arcterm.runs.checkpoints import FileDigest

_PIECE = 32 << 20  # bytes: large enough for a disk and for a copy from a GPU
_ALIGNMENT = 8
_NAMES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""In the library's order, in which tensors of a file follow each other: the widest first."""
_PLACE = {dtype: place for place, dtype in enumerate(_NAMES)}


def write(path: Path, tensors: Mapping[str, Tensor]) -> FileDigest:
    """Write `tensors`, on whatever device, and sync the file; returns its size and SHA-256.

    Beside them it takes 32 MiB of the host's memory, and on their device a copy of one tensor that does not
    lie in order. Raises `OSError`, or `KeyError` for a dtype that the format has no name for.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise KeyError(f"{name} is {tensor.dtype}, which a safetensors file can't hold")
    ordered = sorted(tensors.items(), key=lambda item: (_PLACE[item[1].dtype], item[0]))
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for piece in _pieces(ordered):
            digest.update(piece)
            file.write(piece)
        sync(file)
        return FileDigest(size=file.tell(), sha256=digest.hexdigest())


def copy(files: Mapping[str, Mapping[str, Tensor]]) -> dict[str, dict[str, Tensor]]:
    """Copy the tensors of several files into the host's memory, from whatever device, exactly.

    A tensor that several files name is copied for each.
    """
    buffer = _Pieces()
    copies: dict[str, dict[str, Tensor]] = {}
    for name, tensors in files.items():
        copies[name] = {key: _copy(tensor, buffer) for key, tensor in tensors.items()}
    return copies


def _copy(tensor: Tensor, buffer: _Pieces) -> Tensor:
    if tensor.device.type != "cuda":
        return torch.empty(tensor.shape, dtype=tensor.dtype).copy_(tensor.detach())
    made = torch.empty(tensor.shape, dtype=tensor.dtype)
    places = made.reshape(-1).view(torch.uint8).split(_PIECE)
    for place, piece in zip(places, buffer.pieces(tensor), strict=True):
        place.copy_(piece)
    return made


class _Pieces:
    """Brings tensors to the host a piece at a time; a piece is overwritten by the next."""

    def __init__(self) -> None:
        self._pinned: Tensor | None = None

    def pieces(self, tensor: Tensor) -> Iterator[Tensor]:
        """Yield the bytes of `tensor` in order of its rows, as uint8."""
        flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        for piece in flat.split(_PIECE):
            if piece.device.type != "cuda":
                yield piece
                continue
            # page-locked, so that the GPU copies by itself and at the speed of its bus
            if self._pinned is None:
                self._pinned = torch.empty(_PIECE, dtype=torch.uint8, pin_memory=True)
            yield self._pinned[: len(piece)].copy_(piece)


def _pieces(tensors: list[tuple[str, Tensor]]) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a file; a piece is overwritten by the next."""
    yield _header(tensors)
    buffer = _Pieces()
    for _, tensor in tensors:
        for piece in buffer.pieces(tensor):
            yield piece.numpy().data


def _header(tensors: list[tuple[str, Tensor]]) -> bytes:
    """Its length, 8 bytes little-endian, and where each tensor is, as JSON filled up with spaces."""
    entries, offset = {}, 0
    for name, tensor in tensors:
        end = offset + tensor.nbytes
        shape = list(tensor.shape)
        entries[name] = {"dtype": _NAMES[tensor.dtype], "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text
