"""Writes the devkit's files, by several processes at once if need be; whole ones are not written again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.formats.features.matrix import HEADER, pack_feature
from arcterm.megaface.sets import FeatureSet

BLOCK = 1024
"""Features that are read and written at a time."""


class DevkitWriter:
    """Writes features of `width` numbers below `root`."""

    def __init__(self, root: Path, ending: str, width: int) -> None:
        self._root, self._ending = str(root), ending
        self._bytes = HEADER.size + 4 * width
        root.mkdir(parents=True, exist_ok=True)
        self._new = not any(root.iterdir())

    def has(self, name: str) -> bool:
        """Whether an earlier attempt left the whole file of `name`."""
        if self._new:
            return False
        try:
            return os.stat(self._path(name)).st_size == self._bytes  # noqa: PTH116  a million of them
        except FileNotFoundError:
            return False

    def write(
        self, names: Sequence[str], features: Sequence[NDArray[np.float32]] | NDArray[np.float32]
    ) -> None:
        for name, feature in zip(names, features, strict=True):
            path = self._path(name)
            try:
                self._write(path, pack_feature(feature))
            except FileNotFoundError:  # the first of its folder
                os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
                self._write(path, pack_feature(feature))

    def write_rows(self, features: FeatureSet, rows: Iterable[int], faults: dict[int, str]) -> None:
        """Write the features at `rows` that aren't there, but for refused ones; `faults` as `rows` has it."""
        wanted = [
            row
            for row in rows
            if (name := features.names[row]) not in features.refused and not self.has(name)
        ]
        block = features.rows(np.array(wanted, np.int64), faults)
        good = [place for place, row in enumerate(wanted) if row not in faults]
        self.write([features.names[wanted[place]] for place in good], block[good])

    @staticmethod
    def sync() -> None:
        """Make all durable at once: one by one would take hours of small files."""
        os.sync()

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}{self._ending}"

    def _write(self, path: str, data: bytes) -> None:
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(data)
