"""The lines of a chart, and what its title says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from arcterm.console.charts.lens import Lens
from arcterm.show import words
from arcterm.show.chart import HorizontalLine, Scale, Series, Span
from arcterm.show.lines import Line, shorten, width_of
from arcterm.text import clean

if TYPE_CHECKING:
    from arcterm_registry.contracts import Curve

STYLES = ("dim", "s1", "s2", "s3", "s4", "s5", "s6", "band")
"""The roles of the styles of series, by index."""
BAND = STYLES.index("band")


@dataclass(frozen=True, kw_only=True)
class Curves:
    """Series to draw, and the pieces of the title: a name, then values (or `short` ones) in their colours.

    `span` is the whole range of x, by default that of the points; no y is above `most`. `value` and `place`
    write the y and the x of the crosshair. `refusals` say why a key of `ChartKeys` has no effect here, by the
    name of its action.
    """

    name: str
    values: Line = field(default_factory=list)
    short: Line = field(default_factory=list)
    series: list[Series] = field(default_factory=list)
    span: Span | None = None
    most: float | None = None
    log: bool = False
    scale: Scale = "number"
    guides: list[HorizontalLine] = field(default_factory=list)
    empty: str = ""
    value: Callable[[float], str] = "{:.4g}".format
    place: Callable[[float], str] = "{:,.4g}".format
    refusals: Mapping[str, str] = field(default_factory=dict)

    def title(self, width: int, cursor: float | None = None, chosen: bool = False) -> Line:
        """The heading; where the values don't all fit it takes the short ones, and leaves out whole ones.

        With a `cursor` the values are those there.
        """
        line: Line = [("▸ " if chosen else "─ ", "accent" if chosen else "rule")]
        line.append((shorten(self.name, width - 4), "head"))
        values = self.values if cursor is None else self.read(cursor)
        if cursor is None and self.short and width_of(line) + width_of(values) + 2 * len(values) + 2 > width:
            values = self.short
        for text, role in values:
            if width_of([*line, (text, role)]) + 4 <= width:
                line += [("  ", ""), (text, role)]
        return [*line, (" " + "─" * max(0, width - width_of(line) - 1), "rule")]

    def value_at(self, cursor: float) -> float | None:
        """The value of the main line at its point nearest to `cursor`: the smoothed one, if there is one."""
        found = self.series[-1].at(cursor) if self.series else None
        return found[1] if found is not None and math.isfinite(found[1]) else None

    def with_guide(self, y: float) -> Curves:
        """The same with a horizontal line at `y`, and its value in the title."""
        noted = (f"guide {self.value(y)}", "dim")
        guides = [*self.guides, HorizontalLine(y=y)]
        return replace(
            self, guides=guides, values=[*self.values, noted], short=self.short and [*self.short, noted]
        )

    def read(self, cursor: float) -> Line:
        """The values of each series at its point nearest to `cursor`, after the place."""
        line: Line = [(f"@{self.place(cursor)}", "bold")]
        for s in self.series:
            if (found := s.at(cursor)) is not None:
                name = " ".join(filter(None, (s.mark if s.signed or s.samples else "", s.name)))
                role = "bold" if s.style == BAND else STYLES[s.style]
                line.append((f"{name} {self.value(found[1])}".strip(), role))
        return line


Maker = Callable[[Lens], Curves]


def reported(curve: Curve) -> Curves:
    """A curve of a job's report; in a narrow title its lines go by their names up to a comma."""
    values: Line = []
    short: Line = []
    series = []
    for i, (name, points) in enumerate(list(curve.lines.items())[: len(words.SET_MARKS)]):
        x, y = np.array(points, np.float64).reshape(-1, 2).T
        mark = words.SET_MARKS[i]
        series.append(Series(x=x, y=y, style=1 + i, mark=mark, name=clean(name)))
        values.append((f"{mark} {clean(name)}", STYLES[1 + i]))
        short.append((f"{mark} {clean(name).partition(',')[0]}", STYLES[1 + i]))
    axes: Line = [(f"{clean(curve.y)} by {clean(curve.x)}", "dim")]  # the first to be left out
    return Curves(
        name=clean(curve.title),
        values=values + axes,
        short=short + axes,
        series=series,
        scale="log" if curve.log_x else "number",
        empty="no points",
    )


def last_of(values: np.ndarray) -> float:
    """The last finite value; NaN if there is none."""
    finite = values[-64:][np.isfinite(values[-64:])]
    finite = finite if len(finite) else values[np.isfinite(values)]
    return float(finite[-1]) if len(finite) else math.nan
