"""Diagrams as PNG, by matplotlib where it is installed (the extra ``report``)."""

from __future__ import annotations

import io
import warnings

import numpy as np
from arcterm_registry.contracts import Curve

from arcterm.errors import ConfigError
from arcterm.pictures.frame import COLOURS, SIGNS_PER_LINE
from arcterm.pictures.plot import Floats, Plot, Trace, pieces, placed, plot_of, wide
from arcterm.text import clean

_SIGNS = "os^DvP"


def can_png() -> bool:
    """Return whether `png` can draw here."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def png(drawn: Plot | Curve) -> bytes:
    """Draw a plot as PNG; raises `ConfigError` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "pictures in PNG need matplotlib", "`pip install 'arcterm[report]'`; the SVG needs nothing"
        ) from None
    plot = drawn if isinstance(drawn, Plot) else plot_of(drawn)
    width, height = plot.size
    figure = Figure(figsize=(width / 100, height / 100), dpi=200, layout="constrained")
    axes = figure.subplots()
    named = [trace for trace in plot.traces if not trace.faint]
    for trace in sorted(plot.traces, key=lambda each: not each.faint):
        place = plot.colour(trace)
        x, y = _thinned(plot, trace)
        axes.plot(
            *(10**x if plot.log_x else x, 10**y if plot.log_y else y),
            ("-", "--", ":")[place // len(COLOURS) % 3],
            color=COLOURS[place % len(COLOURS)],
            label=None if trace.faint else _plain(trace.name),
            linewidth=0.8 if trace.faint else 1.6,
            alpha=0.35 if trace.faint else 1,
            marker=_SIGNS[place % len(_SIGNS)] if trace.dots or len(named) > 1 > trace.faint else "",
            markevery=1 if trace.dots else max(1, len(x) // SIGNS_PER_LINE),
            markersize=4,
        )
    for guide in plot.guides:
        axes.axhline(guide, linestyle="--", linewidth=0.8, color="#888888")
    axes.set(title=_plain(plot.title), xlabel=_plain(plot.x), ylabel=_plain(plot.y))
    axes.set(xscale="log" if plot.log_x else "linear", yscale="log" if plot.log_y else "linear")
    axes.grid(alpha=0.3)
    if named:
        axes.legend(fontsize="small")
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a letter that its font lacks, which is drawn as a box
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


def _thinned(plot: Plot, trace: Trace) -> tuple[Floats, Floats]:
    """The points of a line as an image has room for, its pieces parted by NaN."""
    x, y = placed(plot, trace)
    if not len(x):
        return x, y
    gap = np.array([np.nan])
    parts = list(pieces(x, y, *wide(float(x[0]), float(x[-1])), 2 * plot.size[0]))
    joined = [np.concatenate([each for piece in parts for each in (piece[axis], gap)]) for axis in (0, 1)]
    return (joined[0][:-1], joined[1][:-1]) if parts else (gap, gap)


def _plain(words: str) -> str:
    """Text without matplotlib's mathematics, and without what a terminal or page would not show either."""
    return clean(words).replace("$", r"\$")
