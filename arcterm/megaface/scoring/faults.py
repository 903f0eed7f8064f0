"""Features that can't be scored: found all at once, named and counted in one error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.megaface.listing import shorten
from arcterm.megaface.noise import FAR
from arcterm.megaface.sets import FeatureSet
from arcterm.search.exact import UNIT

_NAMED = 5


class FeatureFault(IntEnum):
    """Why a feature can't be scored; `NONE` if it can, `REMOVED` if it is marked as noise."""

    NONE = 0
    REMOVED = 1
    MISSING = 2
    UNREADABLE = 3
    NOT_FINITE = 4
    ZERO = 5
    NOT_UNIT = 6
    NO_MARK = 7


_WORDS = {
    FeatureFault.MISSING: "missing",
    FeatureFault.UNREADABLE: "unreadable",
    FeatureFault.NOT_FINITE: "not finite",
    FeatureFault.ZERO: "zero",
    FeatureFault.NOT_UNIT: "not normalised",
    FeatureFault.NO_MARK: f"neither clean nor noise, as their last number is neither 0 nor {FAR:.0f}",
}


def classify(rows: NDArray[np.float32], extra: int) -> NDArray[np.uint8]:
    """Find the `FeatureFault` (n,) of each of the rows (n, D + extra); `extra` is 1 where noise is marked."""
    vectors = rows[:, : rows.shape[1] - extra]
    with np.errstate(over="ignore", invalid="ignore"):
        squares = np.einsum("ij,ij->i", vectors, vectors)
    faults = np.zeros(len(rows), np.uint8)
    faults[~(abs(np.sqrt(squares) - 1) <= UNIT)] = FeatureFault.NOT_UNIT
    faults[squares == 0] = FeatureFault.ZERO
    for odd in np.flatnonzero(~np.isfinite(squares)):
        if not np.isfinite(vectors[odd]).all():  # else the sum of squares is too large
            faults[odd] = FeatureFault.NOT_FINITE
    if extra:
        faults[(rows[:, -1] != 0) & (rows[:, -1] != FAR)] = FeatureFault.NO_MARK
        faults[rows[:, -1] == FAR] = FeatureFault.REMOVED
    return faults


class FaultList:
    """What is wrong with the features of several sets, as it is found."""

    def __init__(self, allow_missing: bool) -> None:
        self._allow_missing = allow_missing
        self._parts: list[str] = []
        self._count = 0
        self._kinds: set[FeatureFault] = set()
        self._strange = False  # a list that is of other features

    def add(
        self,
        what: str,
        features: FeatureSet,
        names: Sequence[str],
        rows: NDArray[np.int64],
        faults: NDArray[np.uint8],
    ) -> None:
        """Look at the faults (n,) of features, whose names (n,) and rows (n,) are given."""
        for kind in FeatureFault:
            found = np.flatnonzero(faults == kind)
            if not len(found) or kind in (FeatureFault.NONE, FeatureFault.REMOVED):
                continue
            if kind == FeatureFault.MISSING and self._allow_missing:
                continue
            said = [f"{names[n]}{_detail(kind, features, rows[n])}" for n in found[:_NAMED].tolist()]
            said += [""] * (len(found) - len(said))
            self._parts.append(
                f"{len(found):,} of {len(names):,} {what} are {_WORDS[kind]}: {shorten(said, _NAMED)}"
            )
            self._count += len(found)
            self._kinds.add(kind)
            self._strange |= kind == FeatureFault.MISSING and len(found) == len(names)

    def refuse(self) -> None:
        """Raise `DataError` if anything was found."""
        if self._parts:
            raise DataError(
                f"{self._count:,} feature{'s' * (self._count > 1)} can't be scored: {'; '.join(self._parts)}",
                "; ".join(self._hints()),
            )

    def _hints(self) -> Iterator[str]:
        if self._strange:
            yield "check that lists and features belong together"
        elif FeatureFault.MISSING in self._kinds:
            yield "--allow-missing goes on without those that are missing"
        if self._kinds & {
            FeatureFault.NOT_UNIT,
            FeatureFault.NO_MARK,
            FeatureFault.NOT_FINITE,
            FeatureFault.ZERO,
        }:
            yield "export features again; those of others must be finite and normalised before"
        if FeatureFault.UNREADABLE in self._kinds:
            yield "copy unreadable files again"


def _detail(kind: FeatureFault, features: FeatureSet, row: np.int64) -> str:
    reasons: dict[int, str] = {}
    if kind == FeatureFault.MISSING:
        return ""
    vector = features.rows(np.array([row]), reasons)[0]
    if kind == FeatureFault.UNREADABLE:
        return f" ({reasons.get(int(row), 'it was read at another time')})"
    if kind == FeatureFault.NO_MARK:
        return f" ({vector[-1]:g})"
    return f" (norm {np.linalg.norm(vector.astype(np.float64)):.4g})" if kind == FeatureFault.NOT_UNIT else ""
