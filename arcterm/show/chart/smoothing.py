"""Smoothing of a series by an exponential moving average over all of its points."""

from __future__ import annotations

import numpy as np

from arcterm.show.chart.series import Floats

_BLOCK = 128
_FEW_VALUES = 16
_PROBE = 512


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
        self._values: Floats = np.empty(0)
        self._smoothed: Floats = np.empty(0)
        self._average, self._seen = 0.0, 0

    def extend(self, values: Floats) -> Floats:
        """The smoothed `values` (N,)."""
        known = len(self._values)
        if not np.array_equal(values[:known], self._values, equal_nan=True):
            self._forget()
            known = 0
        self._values = values.copy()
        new = values[known:]
        out = np.full(len(new), np.nan)
        finite = np.isfinite(new)
        kept = new[finite]
        if len(kept):
            count = np.arange(self._seen + 1, self._seen + len(kept) + 1, dtype=np.float64)
            out[finite] = self._continue(kept) / (1 - self._weight**count)
            self._seen += len(kept)
        self._smoothed = np.concatenate([self._smoothed, out])
        return self._smoothed

    def _forget(self) -> None:
        self._values = self._smoothed = np.empty(0)
        self._average, self._seen = 0.0, 0

    def _continue(self, kept: Floats) -> Floats:
        """The uncorrected average. Inside a block the recursion is one triangular matrix product."""
        padded = np.zeros(-(-len(kept) // _BLOCK) * _BLOCK)
        padded[: len(kept)] = kept
        blocks = padded.reshape(-1, _BLOCK) @ self._kernel
        for i in range(len(blocks)):
            blocks[i] += self._average * self._decay
            self._average = float(blocks[i, -1])
        averages = blocks.ravel()[: len(kept)]
        self._average = float(averages[-1])
        return averages


def smooth(values: Floats, weight: float) -> Floats:
    """`values` (N,) smoothed at once."""
    return Smoother(weight).extend(values)


def stepwise(values: Floats) -> bool:
    """Whether `values` are piecewise constant, as a learning rate is: smoothing them would lie."""
    finite = values[np.isfinite(values)]
    few = len(np.unique(finite[:_PROBE])) <= _FEW_VALUES  # the start decides for most curves
    return few and (len(finite) <= _PROBE or len(np.unique(finite)) <= _FEW_VALUES)
