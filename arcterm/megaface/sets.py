"""The features of one set, FaceScrub's or MegaFace's, whichever way they lie on disk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.features.npyrows import map_rows

Rows = NDArray[np.int64] | slice


class FeatureSet(ABC):
    """Features by row: `names` are paths of images like ``Adam_Brody/Adam_Brody_420.png``, in stored order.

    Each has `width` numbers, D. `refused` says of which names there is no feature, and why: their rows are
    zeros, and `find` doesn't give them.
    """

    def __init__(self, place: Path, names: list[str], width: int, refused: Mapping[str, str]) -> None:
        self.place, self.names, self.width, self.refused = place, names, width, refused

    def __len__(self) -> int:
        return len(self.names)

    def find(self, names: Sequence[str]) -> NDArray[np.int64]:
        """(n,) int64: the row of each name, -1 where there is none."""
        if not self.refused and self.names == names:
            return np.arange(len(names))
        places = dict(zip(self.names, range(len(self.names)), strict=True))
        for name in self.refused:
            places.pop(name, None)
        return np.fromiter(map(places.get, names, repeat(-1)), np.int64, len(names))

    @abstractmethod
    def rows(self, rows: Rows, faults: dict[int, str] | None = None) -> NDArray[np.float32]:
        """(n, D) float32: the features at `rows`, read-only if they are a view of the file.

        A feature that can't be read is a row of zeros if `faults` is given, which gets its row and the
        reason; else `DataError` names all that are among `rows`.
        """


class PackedSet(FeatureSet):
    """Features in a ``.npy``, which is mapped: a slice of its rows is a view."""

    def __init__(self, place: Path, names: list[str], refused: Mapping[str, str]) -> None:
        self._matrix = map_rows(place)
        rows, width = self._matrix.shape
        if rows != len(names):
            raise DataError(
                f"{place} has {rows:,} rows, but {place.with_suffix('.txt')} has {len(names):,} names",
                "they belong together: copy both again, or export the features again",
            )
        super().__init__(place, names, width, refused)

    def rows(self, rows: Rows, faults: dict[int, str] | None = None) -> NDArray[np.float32]:
        return self._matrix[rows]
