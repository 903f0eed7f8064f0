"""Verification sets: a ``.bin`` is a pickle of ``(images, same)``, images 2i and 2i + 1 being pair i.

Such files come from strangers, and unpickling one could run any code: `picklemachine` reads them. One that
is compressed as ``.xz`` is read too, whatever its name.
"""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.files import staged_file
from arcterm.formats.pairs.groupfile import read_groups
from arcterm.formats.pairs.opcodes import MAX_ITEM, RAW, UNFIT
from arcterm.formats.pairs.picklearrays import Array
from arcterm.formats.pairs.picklemachine import MAX_ITEMS, load
from arcterm.formats.people import is_junk
from arcterm.formats.recordio.container import map_file

MAX_FILE = 4 << 30

_XZ = b"\xfd7zXZ\0"
_SWELLING = 16  # times; images hardly get smaller
_MAX_DICTIONARY = 256 << 20  # bytes; more than any setting of xz takes


@dataclass(frozen=True)
class PairBin:
    """A verification set: encoded `images`, two a pair, and `same` (P,) bool.

    An image that the file stores once for several pairs is one and the same object each time. `groups` has
    the group of each pair, None for a set without groups.
    """

    name: str
    images: list[memoryview]
    same: NDArray[np.bool_]
    groups: list[str] | None = None


def set_files(directory: Path) -> list[Path]:
    """The verification sets in a directory in alphabetical order, without what macOS left beside them."""
    return [path for path in sorted(directory.glob("*.bin")) if path.is_file() and not is_junk(path.name)]


def read_pairs(path: Path) -> PairBin:
    """Read a ``.bin`` and its groups; raises `DataError` if it is missing, damaged, lopsided or no data."""
    images, same = read_items(path)
    if not same or len(images) != 2 * len(same):
        raise DataError(
            f"{path} holds {len(images)} images for {len(same)} pairs",
            "a pair needs two images: make the file again",
        )
    return PairBin(path.stem, images, np.array(same, np.bool_), read_groups(path, len(same)))


def read_items(path: Path) -> tuple[list[memoryview], list[bool]]:
    """The images and the booleans of a ``.bin``, whatever their numbers; raises `DataError`."""
    data = memoryview(map_file(path))
    if bytes(data[: len(_XZ)]) == _XZ:
        data = memoryview(_unpack(path, data))
    if len(data) > MAX_FILE:
        raise DataError(f"{path} has {len(data)} bytes; at most {MAX_FILE} are allowed", "split the set")
    match load(data, path):
        case (list() | tuple() | Array() as images, list() | tuple() | Array() as same):
            return [_image_bytes(path, *item) for item in enumerate(_sequence(path, "images", images))], [
                _is_same(path, *item) for item in enumerate(_sequence(path, "booleans", same))
            ]
    raise DataError(f"{path} isn't a pair of lists, images and booleans", UNFIT)


def _unpack(path: Path, data: memoryview) -> bytes:
    """The content of a set compressed as ``.xz``; raises `DataError` if it is damaged or swells too much."""
    most = min(MAX_FILE, _SWELLING * (len(data) + (1 << 20)))
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_DICTIONARY)
    try:
        whole = unpacker.decompress(data, most)
    except lzma.LZMAError as error:
        raise DataError(f"{path} can't be decompressed: {error}", "get the file again") from None
    if not unpacker.eof:
        reason = "ends early" if unpacker.needs_input else f"holds more than {most} bytes"
        raise DataError(f"{path} {reason}", "get the file again, or split the set")
    return whole


def write_pairs(path: Path, images: Sequence[bytes | memoryview], same: Sequence[bool]) -> None:
    """Write a ``.bin`` as Python 2 did in 2018, protocol 2; an object given repeatedly is stored once.

    Replaces `path` in one step. Raises `DataError` for no pairs, a lopsided set or an image over 16 MiB.
    """
    if not len(same) or len(images) != 2 * len(same):
        raise DataError(
            f"{path}: {len(images)} images for {len(same)} pairs", "give two images a pair, and a pair"
        )
    if max(len(image) for image in images) > MAX_ITEM:
        raise DataError(f"{path}: an image has more than {MAX_ITEM} bytes", "resize the images")
    with staged_file(path) as stage, stage.open("wb") as file:
        for piece in _pickle(images, same):
            file.write(piece)


def _sequence(path: Path, what: str, found: Any) -> Sequence[Any]:
    """Items of a list, a tuple or an array; raises `DataError` if it has none or too many."""
    items: Any = found
    if isinstance(found, Array):
        # an array with several sides has none, however many numbers it has
        items = range(found.count) if found.one_side and found.count > MAX_ITEMS else found.items()
    if items is None:
        raw = what == "images"
        reason = f"its {what} are one {found.words()}" + (": raw pixels, not encoded images" if raw else "")
        raise DataError(f"{path}: {reason}", RAW if raw else UNFIT)
    if len(items) > MAX_ITEMS:
        raise DataError(f"{path}: more than {MAX_ITEMS} {what}", "split the set")
    return cast(Sequence[Any], items)


def _image_bytes(path: Path, index: int, item: Any) -> memoryview:
    data = item.image() if isinstance(item, Array) else item
    if isinstance(data, memoryview):
        return data
    if isinstance(item, Array):
        raise DataError(
            f"{path}: image {index} is a {item.words()}: raw pixels or other numbers, not an encoded image",
            RAW,
        )
    raise DataError(f"{path}: image {index} is of type {type(item).__name__}", UNFIT)


def _is_same(path: Path, index: int, item: Any) -> bool:
    if isinstance(item, Array) and item.count == 1:
        item = (item.numbers() or [item])[0]
    if not isinstance(item, int | float) or item not in (0, 1):
        raise DataError(
            f"{path}: pair {index} is neither same nor different",
            "its second list has True (or 1) for a pair of one person and False (or 0) for another",
        )
    return bool(item)


def _pickle(images: Sequence[bytes | memoryview], same: Sequence[bool]) -> Iterator[bytes]:
    """The pickle in pieces, opcode by opcode as Python 2's cPickle writes it."""
    stored: dict[int, int] = {}
    memo = 1

    def image(item: bytes | memoryview) -> bytes:
        nonlocal memo
        if id(item) in stored:
            return _memo_opcode(b"hj", stored[id(item)])
        stored[id(item)] = memo
        memo += 1
        head = b"U%c" % len(item) if len(item) < 256 else b"T" + struct.pack("<i", len(item))
        return head + item + _memo_opcode(b"qr", memo - 1)

    yield b"\x80\x02]q\x00"
    yield from _append_batches(image(item) for item in images)
    yield b"]" + _memo_opcode(b"qr", memo)
    yield from _append_batches(b"\x88" if flag else b"\x89" for flag in same)
    yield b"\x86" + _memo_opcode(b"qr", memo + 1) + b"."


def _append_batches(items: Iterator[bytes]) -> Iterator[bytes]:
    """Opcodes that append items in batches of 1000, a batch of one without a mark."""
    while batch := list(islice(items, 1000)):
        yield batch[0] + b"a" if len(batch) == 1 else b"(" + b"".join(batch) + b"e"


def _memo_opcode(opcodes: bytes, number: int) -> bytes:
    """The short or the long opcode for memo entry `number`."""
    return opcodes[:1] + bytes([number]) if number < 256 else opcodes[1:] + struct.pack("<I", number)
