"""Verification: the share of genuine pairs accepted where few impostor pairs are.

Genuine are all pairs of two images of one person, impostors all pairs of a probe and a distractor. A pair is
accepted where its score is above the threshold, strictly.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from arcterm.formats.features.results import STEP, Staircase
from arcterm.search.tail import PlacedScore
from arcterm.verify.rates import OperatingPoint, TarAtFar, allowed_of

FARS = (1e-6, 1e-5, 1e-4, 1e-3)
"""False-accept rates at which the true-accept rate is reported."""

BELOW_ALL = -2.0
"""A threshold that every score is above."""

_PER_DECADE = 8  # points of an ROC
_BEYOND = 1 << 18  # impostors beyond the largest rate's, to find the nearest rate where many are equal


class Impostors(Protocol):
    """The largest scores of impostor pairs (`arcterm.search.tail.Largest`)."""

    @property
    def most(self) -> int: ...
    def find(self, place: int) -> PlacedScore: ...
    def count(self, mark: float) -> int: ...


class VerificationRates(msgspec.Struct, frozen=True):
    """Rates of `genuine` and `impostors` pairs; thresholds are cosines.

    `roc` goes as far as the largest rate that is asked for. `tar_below` and `tar_beyond` are the TAR at 1e-6
    as it is read off the devkit's thinned curve, which is `staircase`.
    """

    genuine: int
    impostors: int
    tar_at_far: list[TarAtFar]
    roc: list[OperatingPoint]
    staircase: Staircase


def wanted(impostors: int) -> int:
    """How many of the largest of `impostors` scores `verify` needs."""
    allowed = allowed_of(impostors, max(FARS))
    return min(2 * allowed + 2, allowed + _BEYOND, impostors)


class _Rates:
    """Rates at thresholds."""

    def __init__(self, genuine: NDArray[np.float64], impostors: int, largest: Impostors) -> None:
        self.genuine, self.total, self.largest = np.sort(genuine), impostors, largest

    def after(self, accepted: int) -> OperatingPoint:
        """Rates at the smallest threshold that accepts no more than the `accepted` largest impostors."""
        return self._point(self.largest.find(accepted + 1))

    def _point(self, place: PlacedScore) -> OperatingPoint:
        threshold = max(place.score, BELOW_ALL)
        above = len(self.genuine) - int(np.searchsorted(self.genuine, threshold, "right"))
        return OperatingPoint(
            threshold=threshold,
            far=place.above / self.total,
            tar=above / len(self.genuine),
            impostors=place.above,
        )

    def at(self, far: float) -> TarAtFar:
        """Read the TAR at a rate exactly: ⌊N·far⌋ impostors may be accepted."""
        allowed = allowed_of(self.total, far)
        refused = self.largest.find(allowed + 1)
        nearest = below = self._point(refused)
        # the next attainable rate accepts all that score as much as the first that was refused
        if refused.reach < self.largest.most and refused.reach / self.total - far <= far - below.far:
            nearest = self.after(refused.reach)
        resolved = allowed >= 1
        return TarAtFar(asked=far, at_most=below, nearest=nearest, resolved=resolved)

    def roc(self) -> list[OperatingPoint]:
        """Rates at numbers of impostors in about equal ratios, from none."""
        most = allowed_of(self.total, max(FARS))
        steps = int(_PER_DECADE * np.log10(max(most, 1))) + 2
        numbers = np.unique(np.geomspace(1, max(most, 1), steps).astype(np.int64))
        points = [self.after(int(number)) for number in (0, *numbers) if number <= most]
        return list({point.impostors: point for point in points}.values())

    def staircase(self) -> Staircase:
        """The curve as the devkit writes it; beyond the largest rate its end, (1, 1), stands alone."""
        fars, tars = zip(*self._steps(), *[(1.0, 1.0)], strict=True)
        return list(fars), list(tars)

    def _steps(self) -> Iterator[tuple[float, float]]:
        """Points of the curve at which the TAR has risen by a step."""
        count = len(self.genuine)
        point = self.after(0)
        yield point.far, point.tar
        tar = point.tar
        while (rank := int(np.ceil((tar + STEP) * count - 1e-9))) <= count:
            score = float(self.genuine[count - rank])
            impostors = self.largest.count(score)
            if impostors > allowed_of(self.total, max(FARS)):
                break
            tar = (count - int(np.searchsorted(self.genuine, score, "left"))) / count
            yield impostors / self.total, tar


def verify(genuine: NDArray[np.float64], impostors: int, largest: Impostors) -> VerificationRates:
    """Measure the rates of `genuine` scores, and of `impostors` ones of which the `largest` are given.

    `largest` must have as many as `wanted` says.
    """
    rates = _Rates(genuine, impostors, largest)
    return VerificationRates(
        genuine=len(genuine),
        impostors=impostors,
        tar_at_far=[rates.at(far) for far in FARS],
        roc=rates.roc(),
        staircase=rates.staircase(),
    )
