"""The charts of one run: what was measured at its steps, and its verifications."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from arcterm.console.charts.curves import BAND, STYLES, Curves, Maker, last_of
from arcterm.console.charts.lens import Lens
from arcterm.console.view import View
from arcterm.pictures.ticks import time_label
from arcterm.runs.events import Verify
from arcterm.show import words
from arcterm.show.chart import MANY, Pyramid, Scale, Series, Smoother, Span, stepwise
from arcterm.show.chart.series import Floats
from arcterm.show.lines import Line
from arcterm.show.places import elapsed, epochs_at

SCALES: dict[str, Scale] = {"step": "step", "epoch": "number", "time": "time"}
PLACES: dict[str, Callable[[float], str]] = {
    "step": lambda x: f"{x:,.0f}",
    "epoch": lambda x: f"epoch {x:.2f}",
    "time": time_label,
}
"""How a place on the x axis is written."""
_PARTS = 256


def makers(view: View) -> dict[str, Maker]:
    """A maker of each metric's chart, by its name in `words.METRICS`."""
    return {name: partial(curve, view, name) for name in words.METRICS}


def curve(view: View, name: str, lens: Lens) -> Curves:
    """A metric over the steps: what was measured, and over it the smoothed line."""
    if name == "verification":
        return verification(view, lens)
    x = _along(view, lens.x)
    y: Floats = np.asarray(view.history.series[name])
    scale = 100 if name in words.SHARES else 1
    values: Line = [(words.metric(name, view.record.number(y[-1])), "bold")] if len(y) else []
    steps = name == "lr" or stepwise(y)
    smoothing = lens.weight > 0 and not steps
    raw = _pyramid(view, (name, 0.0), y)
    style, mark = (BAND, ".") if smoothing else (1, "*")
    series = [Series(x=x, y=_times(y, scale), style=style, mark=mark, pyramid=raw)]
    if smoothing:
        line = _smoothed(view, name, y, lens.weight)
        word = f"smooth {lens.weight:g}"
        if math.isfinite(newest := last_of(line)):
            values.append((f"{word}: {words.metric(name, newest)}", "s1"))
        pyramid = _pyramid(view, (name, lens.weight), line)
        smooth = Series(x=x, y=_times(line, scale), style=1, name=word, pyramid=pyramid)
        series = [*series, smooth] if lens.band else [smooth]
    return Curves(
        name=words.METRICS[name],
        values=_noted(values, lens),
        series=series,
        span=_whole(view, lens),
        most=100.0 if name in words.SHARES else None,
        log=lens.log,
        scale=SCALES[lens.x],
        empty=_waiting(view, lens),
        value=lambda value: words.metric(name, value / scale),
        place=PLACES[lens.x],
        refusals=_refusals(words.METRICS[name], steps, smoothing),
    )


def verification(view: View, lens: Lens) -> Curves:
    """The accuracy of each set over the steps, in percent."""
    long: Line = []
    short: Line = []
    series = []
    place = places(view, lens.x)
    for i, (name, results) in enumerate(list(view.summary.verification.items())[: len(words.SET_MARKS)]):
        shown = [(v.step, v.accuracy * 100) for v in results if v.accuracy is not None]
        x, y = np.array(shown, np.float64).reshape(-1, 2).T
        mark, style = words.SET_MARKS[i], 1 + i
        best = view.summary.best(name)
        if shown:
            line = Series(x=place(x), y=y, style=style, mark=mark, name=name, samples=True)
            series.append(with_best(line, best, place))
        top = f" best {words.percent(best.accuracy)} @{words.short(best.step)}" if best else ""
        short.append((f"{mark} {name} {words.percent(results[-1].accuracy)}", STYLES[style]))
        long.append((short[-1][0] + top, STYLES[style]))
    why = "verifications are few: they are shown as they are, not smoothed"
    return Curves(
        name="verify %",
        values=_noted(long, lens),
        short=short,
        series=series,
        span=_whole(view, lens),
        most=100.0,
        log=lens.log,
        scale=SCALES[lens.x],
        empty="no verification yet" if view.summary.last_step else _waiting(view, lens),
        value="{:.2f}".format,
        place=PLACES[lens.x],
        refusals={"smooth": why, "band": why},
    )


def with_best(line: Series, best: Verify | None, place: Callable[[Floats], Floats]) -> Series:
    """Return the line with a sign at the step of its `best`, which `place` puts on the x axis."""
    return line if best is None else replace(line, best=float(place(np.array([best.step], np.float64))[0]))


def places(view: View, axis: str) -> Callable[[Floats], Floats]:
    """From steps to their places on an x axis."""
    history = view.history
    if axis == "step" or not history.steps:
        return lambda steps: steps
    if axis == "time":
        steps, seconds = _along(view, "step"), _along(view, "time")
        return lambda at: np.interp(at, steps, seconds)
    planned = view.steps / view.config.epochs
    return lambda at: epochs_at(at, history.epochs, history.steps[-1], planned)


def _along(view: View, axis: str) -> Floats:
    """The places of all steps on an x axis (N,)."""
    history = view.history
    version, found = view.places.get(axis, (-1, np.empty(0)))
    if version != history.steps.version:
        if axis == "time":
            found = elapsed(history.times)
        else:
            found = places(view, axis)(np.asarray(history.steps).astype(np.float64))
        view.places[axis] = history.steps.version, found
    return found


def _times(values: Floats, scale: int) -> Floats:
    return values if scale == 1 else values * scale


def _whole(view: View, lens: Lens) -> Span | None:
    """The whole range of x: from the first step to the newest known one, which may not be read yet.

    In a live run the end goes on by a part of the range at once: else each step would move every dot.
    """
    if not view.history.steps:
        return None
    ends = np.array([view.history.steps[0], max(view.history.steps[-1], view.summary.step)], np.float64)
    first, last = places(view, lens.x)(ends)
    if last <= first:
        return None
    if not view.live:
        return float(first), float(last)
    part = 2.0 ** math.floor(math.log2((last - first) / _PARTS))
    if lens.x == "step":
        part = max(part, 1.0)
    return float(first), float(math.ceil(last / part - 1e-9) * part)


def _smoothed(view: View, name: str, y: Floats, weight: float) -> Floats:
    if (name, weight) not in view.smoothers:
        view.smoothers[name, weight] = Smoother(weight)
    return view.smoothers[name, weight].extend(y)


def _pyramid(view: View, key: tuple[str, float], values: Floats) -> Pyramid | None:
    """The pyramid of a line with very many points; scaling by a positive number does not change it."""
    if len(values) <= MANY:
        return None
    pyramid = view.pyramids.setdefault(key, Pyramid())
    pyramid.extend(values)
    return pyramid


def _noted(values: Line, lens: Lens) -> Line:
    return [*values, *([("log", "dim")] if lens.log else [])]


def _refusals(name: str, steps: bool, smoothing: bool) -> dict[str, str]:
    if steps:
        why = f"{name} changes in steps: it is shown as it is, since smoothing would change its values"
        return {"smooth": why, "band": why}
    return {} if smoothing else {"band": "without smoothing (s) the measured values are the line"}


def _waiting(view: View, lens: Lens) -> str:
    if lens.span is not None and view.history.steps and not view.loading:
        return "nothing in this part; 0 shows all"
    return view.emptiness
