"""Smoothing of a series by an exponential moving average over all of its points."""

from __future__ import annotations

import math

import numpy as np

from arcterm.show.chart.series import Floats

_BLOCK = 64
_FEW_VALUES = 16
_PROBE = 512
_CHUNK = 1 << 16
_NEGLIGIBLE = 1e-18  # beside 1: no longer a correction


class Smoother:
    """Exponential moving average of a series, corrected for its start; gaps stay gaps.

    m(t) = w·m(t-1) + (1-w)·x(t), shown as m(t) / (1 - wᵗ), so that the first points are not pulled to 0.
    It is taken over all points. While the series only grows each is computed once; one that was cut or
    changed, as by a resume from an older checkpoint, is computed anew.
    """

    def __init__(self, weight: float) -> None:
        lag = np.subtract.outer(np.arange(_BLOCK), np.arange(_BLOCK))
        self._kernel = np.where(lag >= 0, (1 - weight) * weight ** np.maximum(lag, 0), 0.0).T
        self._decay = weight ** np.arange(1, _BLOCK + 1)
        self._weight = weight
        self._young = math.ceil(math.log(_NEGLIGIBLE) / math.log(weight)) if weight else 0
        self._values: Floats = np.empty(0)
        self._smoothed: Floats = np.empty(0)
        self._average, self._seen = 0.0, 0

    def extend(self, values: Floats) -> Floats:
        """Return the smoothed `values` (N,), in their type; they must not be written to afterwards."""
        known = len(self._values)
        if not _begins_with(values, self._values):
            self._forget(values)
            known = 0
        self._values = values
        if len(values) > len(self._smoothed):
            room = np.empty(len(values) + len(values) // 2 + _BLOCK, values.dtype)
            room[:known], self._smoothed = self._smoothed[:known], room
        for begin in range(known, len(values), _CHUNK):
            part = slice(begin, min(begin + _CHUNK, len(values)))
            self._smoothed[part] = self._smooth(values[part].astype(np.float64))
        return self._smoothed[: len(values)]

    def _forget(self, values: Floats) -> None:
        """Begin again, in memory of its own: what was returned stays as it was."""
        self._values = values[:0]
        self._smoothed = np.empty(0, values.dtype)
        self._average, self._seen = 0.0, 0

    def _smooth(self, new: Floats) -> Floats:
        out = np.full(len(new), np.nan)
        finite = np.isfinite(new)
        kept = new[finite]
        if len(kept):
            averages = self._continue(kept)
            early = averages[: max(0, self._young - self._seen)]
            early /= 1 - self._weight ** np.arange(self._seen + 1.0, self._seen + len(early) + 1)
            out[finite] = averages
            self._seen += len(kept)
        return out

    def _continue(self, kept: Floats) -> Floats:
        """The uncorrected average.

        Inside a block the recursion is one triangular matrix product; what a block adds to all after it is
        its last average, which fades by the same factor for each.
        """
        rows = min(_BLOCK, -(-len(kept) // _BLOCK))
        padded = np.zeros(-(-len(kept) // (rows * _BLOCK)) * rows * _BLOCK)
        padded[: len(kept)] = kept
        # small products one after the other: BLAS gives large ones to threads, which wait for each other
        blocks = (padded.reshape(-1, rows, _BLOCK) @ self._kernel).reshape(-1, _BLOCK)
        average, fade = self._average, float(self._decay[-1])
        before = [average] + [average := last + fade * average for last in blocks[:-1, -1].tolist()]
        blocks += np.outer(before, self._decay)
        averages: Floats = blocks.ravel()[: len(kept)]
        self._average = float(averages[-1])
        return averages


def _begins_with(values: Floats, known: Floats) -> bool:
    """Whether `values` go on from those known; a view of the same memory does, without a look at it."""
    count = len(known)
    if len(values) < count or values.dtype != known.dtype:
        return False
    same = values.strides == known.strides and values.ctypes.data == known.ctypes.data
    return same or np.array_equal(values[:count], known, equal_nan=True)


def smooth(values: Floats, weight: float) -> Floats:
    """`values` (N,) smoothed at once."""
    return Smoother(weight).extend(values)


def stepwise(values: Floats) -> bool:
    """Whether `values` are piecewise constant, as a learning rate is: smoothing them would lie."""
    if not len(values):
        return True
    probe = values[:: max(1, len(values) // _PROBE)]
    found = _distinct(probe[np.isfinite(probe)])
    if len(found) > _FEW_VALUES:
        return False
    others = values[~np.isin(values, found) & np.isfinite(values)]
    return len(found) + len(_distinct(others)) <= _FEW_VALUES


def _distinct(values: Floats) -> Floats:
    """The finite `values` (N,), each once: `np.unique` would import NumPy's masked arrays first."""
    ordered = np.sort(values)
    return np.concatenate((ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]]))
