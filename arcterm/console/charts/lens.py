"""How charts are looked at: one lens for all charts of a screen."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from arcterm.show.chart import Span

Axis = Literal["step", "epoch", "time"]

LEVELS = (0.0, 0.6, 0.9, 0.99)
"""Smoothing weights that a key goes through."""
AXES: tuple[Axis, ...] = ("step", "epoch", "time")
_CLOSEST = 1 / 4096  # of the whole range
_LEAST = {"step": 4.0, "epoch": 1e-3, "time": 2.0}


@dataclass(frozen=True, kw_only=True)
class Lens:
    """`weight` of the smoothing, `log` y, what `x` is, whether the `band` of measured values is seen.

    `span` is the visible range in units of x, None for all; one that ends at infinity goes on to the newest.
    `cursor` is the x of the crosshair, None without one. Time is in seconds since the first step.
    """

    weight: float = 0.9
    log: bool = False
    x: Axis = "step"
    span: Span | None = None
    cursor: float | None = None
    band: bool = True

    def visible(self, whole: Span) -> Span:
        """Return the visible part of the range `whole`."""
        if self.span is None:
            return whole
        begin, end = self.span
        return (begin, end if math.isfinite(end) else max(whole[1], begin + _LEAST[self.x]))

    def zoomed(self, factor: float, about: float | None, whole: Span) -> Lens:
        """Show `factor` times as much of x; `about` stays where it is, by default the newest."""
        begin, end = self.visible(whole)
        about = end if about is None else min(max(about, begin), end)
        least = max((whole[1] - whole[0]) * _CLOSEST, _LEAST[self.x])
        if factor < 1 and end - begin <= least:
            return self
        factor = max(factor, least / (end - begin))
        return self._within(about - (about - begin) * factor, about + (end - about) * factor, whole)

    def panned(self, by: float, whole: Span) -> Lens:
        """Move what is visible by the share `by` of its width, as far as there is anything."""
        begin, end = self.visible(whole)
        move = by * (end - begin)
        move = max(whole[0] - begin, min(move, whole[1] - end))
        return self if self.span is None else self._within(begin + move, end + move, whole)

    def _within(self, begin: float, end: float, whole: Span) -> Lens:
        edge = (whole[1] - whole[0]) * 1e-9
        begin, newest = max(begin, whole[0]), end >= whole[1] - edge
        if begin <= whole[0] + edge and newest:
            return replace(self, span=None)
        return replace(self, span=(begin, math.inf if newest else end))
