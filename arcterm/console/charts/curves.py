"""Which curves a chart shows, and what its title says."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from arcterm_registry.contracts import Curve

from arcterm.console.view import View
from arcterm.show import words
from arcterm.show.chart import Series, Smoother, stepwise
from arcterm.show.chart.series import Floats
from arcterm.show.lines import Line, shorten, width_of
from arcterm.text import clean

LEVELS = (0.0, 0.6, 0.9, 0.99)
"""Smoothing weights that a key goes through."""

STYLES = ("dim", "s1", "s2", "s3", "s4", "s5", "s6", "band")
_BAND = STYLES.index("band")


@dataclass(frozen=True, kw_only=True)
class Lens:
    """How charts are looked at: smoothing, log-y, the share of the steps that is shown."""

    weight: float = 0.9
    log: bool = False
    share: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Series to draw, and the pieces of the title: a name, then values (or `short` ones) in their colours."""

    name: str
    values: Line = field(default_factory=list)
    short: Line = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    span: tuple[float, float] | None = None
    log: bool = False
    log_x: bool = False
    empty: str = ""

    def title(self, width: int) -> Line:
        """The heading; where the values don't all fit it takes the short ones, and leaves out whole ones."""
        line: Line = [("─ ", "rule"), (shorten(self.name, width - 4), "head")]
        values = self.values
        if self.short and width_of(line) + sum(len(text) + 2 for text, _ in values) + 2 > width:
            values = self.short
        for text, role in values:
            if width_of(line) + len(text) + 4 <= width:
                line += [("  ", ""), (text, role)]
        return [*line, (" " + "─" * max(0, width - width_of(line) - 1), "rule")]


def curve(view: View, name: str, lens: Lens) -> Curves:
    """A metric over the steps: what was measured, and over it the smoothed line."""
    if name == "verification":
        return verification(view, lens)
    x = np.array(view.history.steps, np.float64)
    y = np.array(view.history.series[name], np.float64)
    scale = 100.0 if name in words.SHARES else 1.0
    values: Line = [(words.metric(name, y[-1]), "bold")] if len(y) else []
    smoothing = lens.weight > 0 and name != "lr" and not stepwise(y)
    series = [Series(x=x, y=y * scale, style=_BAND if smoothing else 1, mark="." if smoothing else "*")]
    if smoothing:
        line = _smoothed(view, name, y, lens.weight)
        values.append((f"smooth {lens.weight:g}: {words.metric(name, _last(line))}", "s1"))
        series.append(Series(x=x, y=line * scale, style=1))
    if lens.log:
        values.append(("log", "dim"))
    return Curves(
        name=words.METRICS[name],
        values=values,
        series=series,
        span=_span(view, lens),
        log=lens.log,
        empty=_waiting(view),
    )


def reported(curve: Curve) -> Curves:
    """A curve of a job's report; in a narrow title its lines go by their names up to a comma."""
    values: Line = []
    short: Line = []
    series = []
    for i, (name, points) in enumerate(list(curve.lines.items())[: len(words.SET_MARKS)]):
        x, y = np.array(points, np.float64).reshape(-1, 2).T
        mark = words.SET_MARKS[i]
        series.append(Series(x=x, y=y, style=1 + i, mark=mark))
        values.append((f"{mark} {clean(name)}", STYLES[1 + i]))
        short.append((f"{mark} {clean(name).partition(',')[0]}", STYLES[1 + i]))
    axes: Line = [(f"{clean(curve.y)} by {clean(curve.x)}", "dim")]  # the first to be left out
    return Curves(
        name=clean(curve.title),
        values=values + axes,
        short=short + axes,
        series=series,
        log_x=curve.log_x,
        empty="no points",
    )


def verification(view: View, lens: Lens) -> Curves:
    """The accuracy of each set over the steps, in percent."""
    long: Line = []
    short: Line = []
    series = []
    for i, (name, results) in enumerate(list(view.summary.verification.items())[: len(words.SET_MARKS)]):
        shown = [(v.step, v.accuracy * 100) for v in results if v.accuracy is not None]
        x, y = np.array(shown, np.float64).reshape(-1, 2).T
        style = 1 + i
        if shown:
            series.append(Series(x=x, y=y, style=style, mark=words.SET_MARKS[i], samples=True))
        best = view.summary.best(name)
        top = f" best {words.percent(best.accuracy)} @{words.short(best.step)}" if best else ""
        last = words.percent(results[-1].accuracy)
        short.append((f"{words.SET_MARKS[i]} {name} {last}", STYLES[style]))
        long.append((short[-1][0] + top, STYLES[style]))
    empty = "no verification yet" if view.summary.last_step else _waiting(view)
    span = _span(view, lens) if lens.share < 1 else None
    return Curves(name="verify %", values=long, short=short, series=series, span=span, empty=empty)


def _smoothed(view: View, name: str, y: Floats, weight: float) -> Floats:
    if (name, weight) not in view.smoothers:
        view.smoothers[name, weight] = Smoother(weight)
    return view.smoothers[name, weight].extend(y)


def _span(view: View, lens: Lens) -> tuple[float, float] | None:
    """The visible steps; None for all."""
    if lens.share >= 1 or not view.history.steps:
        return None
    first, last = view.history.steps[0], view.history.steps[-1]
    return last - (last - first) * lens.share, float(last)


def _waiting(view: View) -> str:
    if view.loading:
        return "reading …"
    return "waiting for the first step" if view.live else "no step was made"


def _last(line: Floats) -> float | None:
    finite = line[np.isfinite(line)]
    return float(finite[-1]) if len(finite) else math.nan
