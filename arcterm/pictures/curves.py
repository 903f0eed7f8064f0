"""Curves as SVG, for pages and files; as PNG too where matplotlib is installed (the extra ``report``)."""

from __future__ import annotations

import csv as csvfile
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from arcterm_registry.contracts import Curve

from arcterm.files import write_bytes
from arcterm.pictures.frame import BOTTOM, COLOURS, LEFT, RIGHT, SIGNS, TOP, Frame, label_at, pen
from arcterm.pictures.page import text
from arcterm.pictures.plot import Plot, Trace, placed, plot_of
from arcterm.pictures.raster import can_png, png
from arcterm.text import clean

__all__ = ["can_png", "csv", "part", "png", "svg", "write"]

_ROW = 18
_STYLE = (
    "svg{font:12px system-ui,sans-serif;color:#222;background:#fff}"
    "@media (prefers-color-scheme:dark){svg{color:#ddd;background:#1b1b1b}}"
)


def svg(drawn: Plot | Curve) -> str:
    """Draw a plot: a whole SVG document, which can stand in a page as it is. Text is escaped."""
    plot = drawn if isinstance(drawn, Plot) else plot_of(drawn)
    width, high = plot.size
    named = [trace for trace in plot.traces if not trace.faint and _has_points(plot, trace)]
    rows = _key_rows([trace.name for trace in named], width)
    height = high + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label="{text(plot.title)}"><style>{_STYLE}</style>',
        label_at(LEFT, 20, plot.title, "start", ' font-weight="600"'),
    ]
    shown = [trace for trace in plot.traces if _has_points(plot, trace)]
    if shown:
        frame = Frame(plot, shown)
        parts += [frame.grid(), *(frame.line(trace) for trace in sorted(shown, key=lambda t: not t.faint))]
        parts += [frame.signs(trace) for trace in named if len(named) > 1 or trace.dots]
    else:
        parts.append(label_at(width / 2, high / 2, "no points", "middle"))
    middle = (TOP + high - BOTTOM) / 2
    parts += [
        label_at((LEFT + width - RIGHT) / 2, high - 10, plot.x, "middle"),
        label_at(14, middle, plot.y, "middle", f' transform="rotate(-90 14 {middle})"'),
        _key(rows, [plot.colour(trace) for trace in named], high),
    ]
    return "".join(parts) + "</svg>\n"


def part(drawn: Plot | Curve) -> str:
    """A plot as part of a page (`arcterm.pictures.page`)."""
    return f'<div class="curve">{svg(drawn)}</div>'


def csv(plot: Plot) -> str:
    """The points of a plot that lie in its span, as ``line,x,y``; a gap is ``nan``."""
    stream = io.StringIO()
    rows = csvfile.writer(stream, lineterminator="\n")
    rows.writerow(["line", clean(plot.x), clean(plot.y)])
    low, high = plot.span or (-np.inf, np.inf)
    for trace in plot.traces:
        held = (trace.x >= low) & (trace.x <= high)
        points = zip(trace.x[held].tolist(), trace.y[held].tolist(), strict=True)
        rows.writerows((clean(trace.name), f"{x:.12g}", f"{y:.9g}") for x, y in points)
    return stream.getvalue()


def write(folder: Path, name: str, drawn: Plot | Curve) -> list[Path]:
    """Write ``NAME.svg`` and, where matplotlib is installed, ``NAME.png``; returns the files."""
    path = folder / f"{name}.svg"
    write_bytes(path, svg(drawn).encode())
    if not can_png():
        return [path]
    write_bytes(path.with_suffix(".png"), png(drawn))
    return [path, path.with_suffix(".png")]


def _has_points(plot: Plot, trace: Trace) -> bool:
    return bool(np.isfinite(placed(plot, trace)[1]).any())


def _key_rows(names: Sequence[str], room: int) -> list[list[tuple[int, str, int]]]:
    """Rows of (number of the line, its name, its x), filled from the left by rough widths."""
    rows: list[list[tuple[int, str, int]]] = []
    x = room
    for number, name in enumerate(names):
        width = 44 + 7 * len(name)
        if x + width > room:
            rows.append([])
            x = LEFT
        rows[-1].append((number, name, x))
        x += width
    return rows


def _key(rows: list[list[tuple[int, str, int]]], colours: Sequence[int], height: int) -> str:
    parts = []
    for below, row in enumerate(rows):
        y = height + 6 + _ROW * below
        for number, name, x in row:
            place = colours[number]
            parts.append(f'<path d="M{x} {y - 4}h22" {pen(place)}/>')
            if len(colours) > 1:
                sign, fill = SIGNS[place % len(SIGNS)], COLOURS[place % len(COLOURS)]
                parts.append(f'<path d="M{x + 11} {y - 4}{sign}" fill="{fill}"/>')
            parts.append(label_at(x + 28, y, name, "start"))
    return "".join(parts)
