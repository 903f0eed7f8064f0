"""Sizes of embedding that an output part can have; nothing here needs torch."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

OUTPUTS = (
    "E",
    "F",
    "G",
    "H",
    "I",
    "J",
    "A",
    "B",
    "C",
    "D",
    "AX",
    "BX",
    "CX",
    "DX",
    "Z",
    "GAP",
    "GDC",
    "GNAP",
)
LARGEST = 4096


def fixed(output: str, channels: int, side: int) -> int | None:
    """The one size that `output` can have on a (`channels`, `side`, `side`) map; None where any will do.

    A, AX and Z have no layer that could change the size: theirs is what the map gives.
    """
    if output in ("A", "AX"):
        return channels
    return channels * side**2 if output == "Z" else None


def require(output: str, channels: int, side: int, embedding_size: int) -> None:
    """Raise `ValueError` if `output` on a (`channels`, `side`, `side`) map can't have `embedding_size`."""
    only = fixed(output, channels, side)
    if only is not None and embedding_size != only:
        raise ValueError(
            f"output {output} on {channels}×{side}×{side} gives {only}, not {embedding_size}; "
            f"set embedding_size={only}"
        )


def on_map(
    *,
    output: str,
    embedding_size: int,
    channels: int,
    input: int = 1,
    side: int = 7,
    strided_side: int = 4,
    **_: Any,
) -> None:
    """Require it of a network whose last map is `side` wide, or `strided_side` with the stem of `input` 0.

    Raises `ValueError` also for an embedding above `LARGEST` that the map does not impose.
    """
    side = strided_side if input == 0 else side
    require(output, channels, side, embedding_size)
    if embedding_size > LARGEST and fixed(output, channels, side) is None:
        raise ValueError(f"output {output} has an embedding_size of at most {LARGEST}, not {embedding_size}")


basic = partial(on_map, channels=512)
bottleneck = partial(on_map, channels=2048)
mobilenetv2 = partial(on_map, channels=1280)
inception = partial(on_map, channels=1536, side=12, strided_side=5)
dpn68 = partial(on_map, channels=2368)
dpn = partial(on_map, channels=2688)
d121 = partial(on_map, channels=1024, strided_side=3)
d161 = partial(on_map, channels=2208, strided_side=3)
d169 = partial(on_map, channels=1664, strided_side=3)
d201 = partial(on_map, channels=1920, strided_side=3)


def mobilenet(*, multiplier: float, **options: Any) -> None:
    """`m1`: its last map has 32 times the channels of its first; raises `ValueError`."""
    on_map(channels=32 * int(32 * multiplier), **options)


def mobilefacenet(*, blocks: str, **_: Any) -> None:
    """`y1`: its blocks are four counts; raises `ValueError`."""
    four_counts(blocks)


def four_counts(blocks: str) -> tuple[int, int, int, int]:
    """The numbers in e.g. ``1,4,6,2``, 1 to 99 each; raises `ValueError` for anything else."""
    found = re.fullmatch(r"\s*" + r"\s*,\s*".join([r"([1-9]\d?)"] * 4) + r"\s*", blocks, re.ASCII)
    if not found:
        raise ValueError(f"blocks is {blocks!r}; write four counts of 1 to 99 such as 1,4,6,2")
    a, b, c, d = (int(count) for count in found.groups())
    return a, b, c, d
