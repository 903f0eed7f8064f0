"""The devkit's result, ``cmc_facescrub_megaface_ALGO_SIZE_SET.json``: curves thinned to a staircase.

``cmc`` and ``traditional_cmc`` are ranks, from 0, and shares of probes recognised up to them; ``roc`` is
false-accept rates and true-accept rates. A point follows the last one where y has risen by 0.01.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from arcterm.errors import DataError
from arcterm.formats.features.matrix import read_bytes
from arcterm.formats.lfs import refuse_pointer

STEP = 0.01
_LARGEST = 64 << 20
_HINT = "give a cmc_….json that the devkit or `arcterm megaface score` wrote"
_ROUNDING = 1e-4  # a real file ends at 1.0000063

Axis = list[float]
Staircase = tuple[Axis, Axis]


class DevkitResult(msgspec.Struct):
    """Curves, each x ascending and y not falling."""

    cmc: Staircase
    roc: Staircase
    traditional_cmc: Staircase | None = None

    def recall(self, rank: int) -> float | None:
        """The share recognised up to `rank`, from 1, by the last point; None if the curve begins later."""
        return _last(self.cmc, rank - 1)

    def tar_below(self, far: float) -> float | None:
        """The TAR of the last point with a FAR of at most `far`, as InsightFace's author read it."""
        return _last(self.roc, far)

    def tar_beyond(self, far: float) -> float | None:
        """The TAR of the first point with a FAR of more than `far`, as a common script for plots reads it."""
        return next((y for x, y in zip(*self.roc, strict=True) if x > far), None)


def _last(curve: Staircase, limit: float) -> float | None:
    found = [y for x, y in zip(*curve, strict=True) if x <= limit]
    return found[-1] if found else None


class Point(NamedTuple):
    x: float
    y: float


def thin(points: Iterable[Point]) -> Staircase:
    """Thin a curve, x ascending, as the devkit does: the first point, those a step higher, and the last."""
    chosen: list[Point] = []
    last = None
    for point in points:
        last = point
        if not chosen or point.y >= chosen[-1].y + STEP:
            chosen.append(point)
    if last is not None and chosen[-1] != last:
        chosen.append(last)
    return [point.x for point in chosen], [point.y for point in chosen]


def read_result(path: Path) -> DevkitResult:
    """Read a result of the devkit; raises `DataError` for what can't be one."""
    data = read_bytes(path, _LARGEST)
    refuse_pointer(data[:64], path)
    try:
        found = msgspec.json.decode(data, type=DevkitResult)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise DataError(f"{path} is no result of the devkit: {ascii(str(error))[1:-1]:.200}", _HINT) from None
    for name, curve in (("cmc", found.cmc), ("roc", found.roc), ("traditional_cmc", found.traditional_cmc)):
        if curve is not None and (why := _fault(*curve)):
            raise DataError(f"{path} is damaged: its {name} {why}", _HINT)
    return found


def _fault(x: Sequence[float], y: Sequence[float]) -> str:
    """Say why x and y can't be a curve of the devkit; empty if they can."""
    if not x or len(x) != len(y):
        return f"has {len(x):,} points on one axis and {len(y):,} on the other"
    if min(x) < 0 or any(after < before for before, after in pairwise(x)):
        return "doesn't ascend from 0 on its first axis"
    if any(after < before for before, after in pairwise(y)):
        return "falls"
    return f"has shares from {y[0]:g} to {y[-1]:g}" if y[0] < 0 or y[-1] > 1 + _ROUNDING else ""
