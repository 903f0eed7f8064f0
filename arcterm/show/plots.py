"""Plots of runs, for files and pages: a metric of one run, or of several over one another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from arcterm.config import TrainConfig
from arcterm.errors import ConfigError
from arcterm.pictures.plot import Floats, Plot, Trace, plot_of
from arcterm.runs.reading.follow import Follower
from arcterm.runs.reading.summary import Summary
from arcterm.runs.report import read_report
from arcterm.runs.store import Run
from arcterm.show import places, words
from arcterm.show.chart.smoothing import smooth, stepwise
from arcterm.text import first_of

Along = Literal["step", "epoch", "time"]
AXES: dict[Along, str] = {"step": "step", "epoch": "epoch", "time": "hours since the first step"}
VERIFICATION = "verification"
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Past:
    """All events of a training; `epoch_steps` is the planned length of an epoch, 0 if unknown."""

    name: str
    summary: Summary
    epoch_steps: float = 0.0

    @property
    def steps(self) -> Floats:
        """The steps (N,)."""
        return np.array(self.summary.steps, np.float64)

    def along(self, axis: Along, steps: Floats) -> Floats:
        """Return the places of `steps` on an axis; between recorded ones they are interpolated.

        Epochs count what is done of them: 0 before the first step, 1 after the last step of the first.
        """
        if axis == "step" or not len(self.summary.steps):
            return steps
        if axis == "time":
            hours = places.elapsed(self.summary.times) / 3600
            return np.asarray(np.interp(steps, self.steps, hours), np.float64)
        return places.epochs_at(steps, self.summary.epochs, self.steps[-1], self.epoch_steps)


def read_past(run: Run) -> Past:
    """Read every event of `run`."""
    summary, follower, more = Summary(), Follower(run), True
    while more:
        events, more = follower.batches(_CHUNK)
        summary.feed(events)
    config = run.record.config
    epochs = config.epochs if isinstance(config, TrainConfig) else 0
    return Past(run.name, summary, summary.total_steps / epochs if epochs else 0.0)


def metric_plot(
    pasts: Sequence[Past],
    metric: str,
    *,
    along: Along = "step",
    weight: float = 0.0,
    log: bool = False,
    span: tuple[float, float] | None = None,
) -> Plot:
    """Plot `metric` of runs: one of `Summary.series`, ``verification``, or a verification set by name.

    An empty one is the loss, or what else there is.
    With a `weight` above 0 the values are smoothed, over what was measured; what is piecewise constant, as a
    rate is, never. Raises `ConfigError` if none of the runs has it.
    """
    offered = metrics_of(pasts)
    metric = metric or next(iter(offered), "loss")
    if metric not in offered:
        raise ConfigError(
            f"{first_of([past.name for past in pasts], 3)} has no metric {metric!r}",
            f"--metric takes {', '.join(offered)}" if offered else "wait for its first step",
        )
    traces: list[Trace] = []
    for place, past in enumerate(pasts):
        if metric in past.summary.series:
            traces += _measured(past, metric, along, weight, place)
        else:
            traces += _verified(past, metric, along, several=len(pasts) > 1)
    title = words.METRICS.get(metric, metric)
    if metric not in words.METRICS and metric in _sets(pasts):
        title = f"{metric}, {words.METRICS[VERIFICATION]}"
    unit = "accuracy %" if metric not in pasts[0].summary.series else title
    return Plot(
        title=title if len(pasts) > 1 else f"{title}: {pasts[0].name}",
        x=AXES[along],
        y=unit,
        traces=traces,
        log_y=log,
        span=_within(span, traces),
        most=math.inf if unit == title and metric not in words.SHARES else 100.0,
    )


def metrics_of(pasts: Iterable[Past]) -> list[str]:
    """Return the metrics that one of the runs has, the usual ones first."""
    pasts = list(pasts)
    series = {name for past in pasts for name, values in past.summary.series.items() if _is_known(values)}
    ordered = [name for name in words.METRICS if name in series]
    ordered += sorted(series - set(ordered))
    sets = _sets(pasts)
    return [*ordered, *([VERIFICATION] if sets else []), *sets]


def report_plots(run: Run) -> list[Plot]:
    """Return the curves of a job's report; none where there is none."""
    report = read_report(run)
    return [plot_of(curve) for curve in report.curves] if report else []


def _measured(past: Past, metric: str, along: Along, weight: float, place: int) -> list[Trace]:
    scale = 100.0 if metric in words.SHARES else 1.0
    x = past.along(along, past.steps)
    y = np.array(past.summary.series[metric], np.float64) * scale
    if weight <= 0 or metric == "lr" or stepwise(y):
        return [Trace(name=past.name, x=x, y=y, colour=place)]
    return [
        Trace(name=f"{past.name} as measured", x=x, y=y, faint=True, colour=place),
        Trace(name=past.name, x=x, y=smooth(y, weight).astype(np.float64), colour=place),
    ]


def _verified(past: Past, metric: str, along: Along, *, several: bool) -> list[Trace]:
    traces = []
    for name, results in past.summary.verification.items():
        if metric not in (VERIFICATION, name):
            continue
        steps = np.array([result.step for result in results], np.float64)
        accuracy = [np.nan if result.accuracy is None else result.accuracy * 100 for result in results]
        best = past.summary.best(name)
        top = f"  best {words.percent(best.accuracy)} @{words.short(best.step)}" if best else ""
        label = past.name if several and metric == name else f"{past.name} {name}" if several else name
        traces.append(
            Trace(name=label + top, x=past.along(along, steps), y=np.array(accuracy, np.float64), dots=True)
        )
    return traces


def _within(span: tuple[float, float] | None, traces: Sequence[Trace]) -> tuple[float, float] | None:
    """`span` with the ends of the traces in place of its open ends."""
    ends = [float(end) for trace in traces if len(trace.x) for end in (trace.x[0], trace.x[-1])]
    if span is None or not ends:
        return span
    return max(span[0], min(ends)), min(span[1], max(ends))


def _is_known(values: Sequence[float]) -> bool:
    """Whether a metric has a number at all; what another program's log lacks is NaN or 0 throughout."""
    array = np.array(values, np.float64)
    return bool((np.isfinite(array) & (array != 0)).any())


def _sets(pasts: Iterable[Past]) -> list[str]:
    return list(dict.fromkeys(name for past in pasts for name in past.summary.verification))
