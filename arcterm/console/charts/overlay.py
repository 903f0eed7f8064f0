"""The charts of several runs: a metric or a verification set of all of them in one chart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from arcterm.console.charts.curves import STYLES, Curves, Maker, last_of
from arcterm.console.charts.lens import Lens
from arcterm.console.charts.metrics import PLACES, SCALES, curve, places, with_best
from arcterm.console.view import View
from arcterm.show import words
from arcterm.show.chart import Series, Span
from arcterm.show.lines import Line, Piece
from arcterm.text import clean

_SET = "verify "
_HIDDEN = "the measured values of several runs would hide each other; s shows them in place of smoothed ones"


@dataclass(frozen=True)
class RunCurve:
    """A run as it is drawn: what is read of it, its name, and its sign with the role that colours it."""

    view: View
    name: str
    look: Piece

    @property
    def style(self) -> int:
        return STYLES.index(self.look[1])


@dataclass(frozen=True, kw_only=True)
class Overlay(Curves):
    """Curves of which each is a run: at the crosshair its sign stands for its name, which a legend has."""

    def read(self, cursor: float) -> Line:
        """The place, and the value of each run at its point nearest to it; a dash beyond its ends."""
        line: Line = [(f"@{self.place(cursor)}", "bold")]
        for s in self.series:
            if (found := s.at(cursor)) is not None:
                shown = self.value(found[1]) if s.reaches(cursor) else words.DASH
                line.append((f"{s.mark} {shown}", STYLES[s.style]))
        return line


def makers(runs: Sequence[RunCurve]) -> dict[str, Maker]:
    """A maker of each chart by name: the loss, each verification set, then the other metrics."""
    sets = dict.fromkeys(name for run in runs for name in run.view.summary.verification)
    metrics = [
        name for name in words.METRICS if name not in ("loss", "verification") and _measured(runs, name)
    ]
    found: dict[str, Maker] = {"loss": partial(metric, runs, "loss")}
    found |= {_SET + name: partial(verification, runs, name) for name in sets}
    return found | {name: partial(metric, runs, name) for name in metrics}


def _measured(runs: Sequence[RunCurve], name: str) -> bool:
    """Whether any run has recorded a metric, by its first and last values; a new one may yet do so."""
    found = [run.view.history.series[name] for run in runs]
    return not any(map(len, found)) or any(math.isfinite(at) for y in found if y for at in (y[0], y[-1]))


def titles(names: Mapping[str, Maker]) -> dict[str, str]:
    """What the charts of `makers` are called."""
    return {name: words.METRICS.get(name, clean(name)) for name in names}


def metric(runs: Sequence[RunCurve], name: str, lens: Lens) -> Curves:
    """A metric of every run: smoothed, or as it was measured."""
    values: Line = []
    series: list[Series] = []
    spans: list[Span] = []
    found = [curve(run.view, name, lens) for run in runs]
    for run, one in zip(runs, found, strict=True):
        line = one.series[-1]
        if len(line.x):
            series.append(replace(line, style=run.style, mark=run.look[0], name=run.name, signed=True))
            newest = last_of(line.y)
            shown = one.value(newest) if math.isfinite(newest) else words.DASH
            values.append((f"{run.look[0]} {shown}", run.look[1]))
        spans += [one.span] if one.span else []
    smoothed = next((f"smooth {lens.weight:g}" for one in found if len(one.series) > 1), "")
    refusals = dict(found[0].refusals) if found else {}
    return Overlay(
        name=words.METRICS[name],
        values=[*values, *_noted(smoothed, lens)],
        series=series,
        span=_whole(spans),
        most=found[0].most if found else None,
        log=lens.log,
        scale=SCALES[lens.x],
        empty=found[0].empty if found else "",
        value=found[0].value if found else "{:.4g}".format,
        place=PLACES[lens.x],
        refusals={"band": _HIDDEN} | refusals,
    )


def verification(runs: Sequence[RunCurve], name: str, lens: Lens) -> Curves:
    """The accuracy of one set for every run, in percent, with the best."""
    values: Line = []
    series: list[Series] = []
    spans: list[Span] = []
    for run in runs:
        results = run.view.summary.verification.get(name, [])
        shown = [(v.step, v.accuracy * 100) for v in results if v.accuracy is not None]
        if not shown:
            continue
        x, y = np.array(shown, np.float64).T
        place, best = places(run.view, lens.x), run.view.summary.best(name)
        x = place(x)
        mark, role = run.look
        line = Series(x=x, y=y, style=run.style, mark=mark, name=run.name, samples=True, signed=True)
        series.append(with_best(line, best, place))
        spans.append((0.0, max(float(x[-1]), 1.0)))
        values.append((f"{mark} {words.percent(best.accuracy if best else None)}", role))
    why = "verifications are few: they are shown as they are, not smoothed"
    return Overlay(
        name=f"{clean(name)} %",
        values=[("best", "dim"), *values, *_noted("", lens)] if values else [],
        series=series,
        span=_whole(spans),
        most=100.0,
        log=lens.log,
        scale=SCALES[lens.x],
        empty="no run has this",
        value="{:.2f}".format,
        place=PLACES[lens.x],
        refusals={"smooth": why, "band": why},
    )


def _whole(spans: Sequence[Span]) -> Span | None:
    return (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None


def _noted(smoothed: str, lens: Lens) -> Line:
    return [(word, "dim") for word in (smoothed, "log" if lens.log else "") if word]
