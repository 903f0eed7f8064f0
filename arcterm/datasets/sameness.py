"""The fingerprint of data: the same wherever it lies.

A fingerprint is ``2:TRAIN:SETS``, two SHA-256: of the training data's labels, lengths and a sample of its
contents, and of the verification sets. No path and no time is in it. Runs of version 0.1.0 have another one,
64 digits without a prefix.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SAMPLE = 4096
"""Images whose bytes are taken, evenly from the first to the last; all of them where there are fewer."""
BYTES = 1 << 16
"""Of each such image, from its beginning."""

_PREFIX = "2"


class TrainDigest:
    """Takes what makes up the training data, part by part."""

    def __init__(self, kind: str) -> None:
        self._digest = hashlib.sha256(f"arcterm {kind}\n".encode())

    def add(self, name: str, data: bytes | memoryview) -> None:
        """One part; its name and length keep it apart from the next."""
        self._digest.update(f"{name} {len(data)}\n".encode())
        self._digest.update(data)

    def add_numbers(self, name: str, numbers: NDArray[np.int64]) -> None:
        self.add(name, numbers.astype("<i8").tobytes())

    def fingerprint(self, sets: str) -> str:
        """The whole; `sets` is the digest of the verification sets."""
        return f"{_PREFIX}:{self._digest.hexdigest()}:{sets}"


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Up to `most` indexes of `count` things, ascending, the first and the last among them."""
    if count <= most:
        return np.arange(count)
    return np.arange(most) * (count - 1) // (most - 1)


def joined(fingerprints: Sequence[str], settings: bytes = b"") -> str:
    """One fingerprint of several data sets in this order, or of what `settings` leave of one."""
    parts = [fingerprint.split(":") for fingerprint in fingerprints]
    train = hashlib.sha256("\n".join(part[1] for part in parts).encode() + b"\n" + settings)
    sets = hashlib.sha256("\n".join(part[2] for part in parts).encode())
    return f"{_PREFIX}:{train.hexdigest()}:{parts[0][2] if len(parts) == 1 else sets.hexdigest()}"


def file_sizes(files: Iterable[Path]) -> NDArray[np.int64]:
    """(N,) int64: bytes of each file, -1 where there is none."""
    return np.fromiter((_size(file) for file in files), np.int64)


def file_start(file: Path) -> bytes:
    """The first bytes of an image file; none where it can't be read, which training passes over."""
    try:
        with file.open("rb") as opened:
            return opened.read(BYTES) if file.is_file() else b""
    except OSError:
        return b""


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return -1
