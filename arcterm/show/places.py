"""Where steps stand on an x axis: by epoch, or by time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def elapsed(times: ArrayLike) -> Floats:
    """Return seconds since the first of `times` (N,); where a clock was set back, time stands still."""
    found = np.maximum.accumulate(np.asarray(times, np.float64))
    return found - found[0] if len(found) else found


def epochs_at(
    steps: NDArray[np.floating], begun: Sequence[tuple[int, int]], newest: float, planned: float = 0.0
) -> Floats:
    """Return how many epochs are done after each of `steps` (N,): 0 before the first, between them a share.

    `begun` has (first step, number from 1) of each epoch. The length of the last one, which may not be over,
    is that of the one before it, or the `planned` number of steps, at least to the `newest` step.
    """
    firsts, numbers = np.array(begun, np.float64).T
    length = max(newest - firsts[-1] + 1, firsts[-1] - firsts[-2] if len(firsts) > 1 else planned)
    ends = np.append(firsts - 1, firsts[-1] - 1 + length)
    return np.asarray(np.interp(steps, ends, np.append(numbers - 1, numbers[-1])), np.float64)
