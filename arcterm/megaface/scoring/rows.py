"""Distractors in the order of a list, read from features that lie in another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats.features.npyrows import map_rows
from arcterm.megaface.scoring.faults import FeatureFault, classify
from arcterm.megaface.sets import FeatureSet, PackedSet, Rows
from arcterm.runs.context import JobContext
from arcterm.verify.ranks import RankGroup

_BLOCK = 2048
_ROUND = 8  # blocks between two agreements on going on

Whole = NDArray[np.int64]
Read = Callable[[Rows], NDArray[np.float32]]


class ListedRows:
    """A gallery (`arcterm.search.stream.GalleryRows`): of what `read` reads, the rows at `places` (N,).

    Of each the first `width` numbers are the feature.
    """

    def __init__(self, read: Read, places: Whole, removed: NDArray[np.bool_], width: int) -> None:
        self._read, self._places, self._width = read, places, width
        self.removed = removed

    def __len__(self) -> int:
        return len(self._places)

    def rows(self, rows: Whole | slice) -> NDArray[np.float32]:
        """Return some of the rows, (n, D), in place if they lie in the file one after the other."""
        return self._read(_slice_of(self._places[rows]))[:, : self._width]


def _slice_of(places: Whole) -> Rows:
    """`places` as a slice if they lie one after the other, so that they needn't be copied."""
    together = len(places) > 0 and bool((np.diff(places) == 1).all())
    return slice(int(places[0]), int(places[-1]) + 1) if together else places


class Checked(NamedTuple):
    """The `faults` (N,) of listed features; `read` gives those at `places` (N,)."""

    faults: NDArray[np.uint8]
    read: Read
    places: Whole


def check(
    context: JobContext, ranks: RankGroup, features: FeatureSet, rows: Whole, extra: int, copy: Path
) -> Checked:
    """Look at the features at `rows` (N,), -1 for one that is missing; each rank looks at a part.

    Features in a file each are written into the file `copy`, a ``.npy``, from which they are read again.
    """
    packed = isinstance(features, PackedSet)
    if not packed and ranks.first:
        _create(copy, len(rows), features.width)
    ranks.barrier()
    part = -(-len(rows) // ranks.size)
    first = min(ranks.rank * part, len(rows))
    own = rows[first : first + part]
    faults = np.zeros(part, np.uint8)
    unreadable: dict[int, str] = {}
    read = reader(features, unreadable)
    for start in range(0, part, _BLOCK):
        some = own[start : start + _BLOCK]
        there = some >= 0
        found = np.full(len(some), FeatureFault.MISSING, np.uint8)
        vectors, found[there] = look(read, some[there], extra, unreadable)
        faults[start : start + len(some)] = found
        if not packed:
            whole = np.zeros((len(some), features.width), np.float32)
            whole[there] = vectors
            _write(copy, len(rows) - first - start, whole)
        context.progress(min((start + _BLOCK) * ranks.size, len(rows)), len(rows), "checking", "features")
        if start // _BLOCK % _ROUND == 0:
            context.agree()
    everything = ranks.gather(torch.from_numpy(faults)).numpy()[: len(rows)]
    if packed:
        return Checked(everything, read, rows)
    return Checked(everything, map_rows(copy).__getitem__, np.arange(len(rows)))


def _create(path: Path, count: int, width: int) -> None:
    """Make a ``.npy`` of zeros, without taking room for them yet."""
    with _writing(path, "wb") as file:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (count, width)}
        np.lib.format.write_array_header_1_0(file, shape)
        file.truncate(file.tell() + 4 * count * width)


def _write(path: Path, places_to_end: int, rows: NDArray[np.float32]) -> None:
    """Write rows, so many places before the end; by a mapping, a full disk would end the process."""
    with _writing(path, "r+b") as file:
        file.seek(-4 * places_to_end * rows.shape[1], os.SEEK_END)
        file.write(rows.tobytes())


@contextmanager
def _writing(path: Path, mode: Literal["wb", "r+b"]) -> Iterator[BinaryIO]:
    try:
        with path.open(mode) as file:
            yield file
    except OSError as error:
        raise DataError(f"{path} can't be written: {error.strerror}", "make room on that disk") from None


def reader(features: FeatureSet, unreadable: dict[int, str]) -> Read:
    """Return what reads rows; those that are `unreadable` are noted there, and zeros.

    Of packed features it holds the mapped file alone, not the names, which take more memory than a pass.
    """
    if isinstance(features, PackedSet):
        return map_rows(features.place).__getitem__
    return lambda rows: features.rows(rows, unreadable)


def look(
    read: Read, rows: Whole, extra: int, unreadable: dict[int, str]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Read features at `rows` (n,), and find what is wrong with each."""
    vectors = read(_slice_of(rows))
    faults = classify(vectors, extra)
    faults[np.isin(rows, list(unreadable))] = FeatureFault.UNREADABLE
    return vectors, faults
