"""Curves as SVG, for pages and files; as PNG too where matplotlib is installed (the extra ``report``)."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path

from arcterm_registry.contracts import Curve

from arcterm.errors import ConfigError
from arcterm.files import write_bytes
from arcterm.pictures.page import text
from arcterm.pictures.ticks import label, log_ticks, power, ticks
from arcterm.text import clean

Points = list[tuple[float, float]]

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Told apart by the colour-blind too (Okabe and Ito, Color Universal Design, 2008), with grey for yellow."""
_DASHES = ("", "7 3", "2 3")  # one more for each round through the colours

_WIDTH, _HEIGHT = 680, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 34, 46
_ROW = 18
_PAD = 0.03  # of the range of y, so that a line along an edge is seen
_STYLE = (
    "svg{font:12px system-ui,sans-serif;color:#222;background:#fff}"
    "@media (prefers-color-scheme:dark){svg{color:#ddd;background:#1b1b1b}}"
)


def svg(curve: Curve) -> str:
    """Draw `curve`: a whole SVG document, which can stand in a page as it is. Text is escaped."""
    lines = {name: _drawable(points, curve.log_x) for name, points in curve.lines.items()}
    lines = {name: points for name, points in lines.items() if points}
    rows = _key_rows(list(lines))
    height = _HEIGHT + _ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        f'height="{height}" role="img" aria-label="{text(curve.title)}"><style>{_STYLE}</style>',
        _label(_LEFT, 20, curve.title, "start", ' font-weight="600"'),
    ]
    if lines:
        frame = _Frame(lines, curve.log_x)
        parts += [frame.grid(), *(frame.line(points, place) for place, points in enumerate(lines.values()))]
    else:
        parts.append(_label(_WIDTH / 2, _HEIGHT / 2, "no points", "middle"))
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts += [
        _label((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 10, curve.x, "middle"),
        _label(14, middle, curve.y, "middle", f' transform="rotate(-90 14 {middle})"'),
        _key(rows),
    ]
    return "".join(parts) + "</svg>\n"


def part(curve: Curve) -> str:
    """`curve` as part of a page (`arcterm.pictures.page`)."""
    return f'<div class="curve">{svg(curve)}</div>'


def write(folder: Path, name: str, curve: Curve) -> list[Path]:
    """Write ``NAME.svg`` and, where matplotlib is installed, ``NAME.png``; returns the files."""
    path = folder / f"{name}.svg"
    write_bytes(path, svg(curve).encode())
    if not can_png():
        return [path]
    write_bytes(path.with_suffix(".png"), png(curve))
    return [path, path.with_suffix(".png")]


def can_png() -> bool:
    """Return whether `png` can draw here."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def png(curve: Curve) -> bytes:
    """Draw `curve` as PNG; raises `ConfigError` without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(
            "pictures in PNG need matplotlib", "`pip install 'arcterm[report]'`; the SVG needs nothing"
        ) from None
    figure = Figure(figsize=(_WIDTH / 100, _HEIGHT / 100), dpi=200, layout="constrained")
    axes = figure.subplots()
    for place, (name, given) in enumerate(curve.lines.items()):
        points = _drawable(given, curve.log_x)
        style = ("-", "--", ":")[place // len(COLOURS) % 3]
        x, y = zip(*points, strict=True) if points else ((), ())
        axes.plot(x, y, style, color=COLOURS[place % len(COLOURS)], label=_plain(name), linewidth=1.6)
    if curve.log_x:
        axes.set_xscale("log")
    axes.set(title=_plain(curve.title), xlabel=_plain(curve.x), ylabel=_plain(curve.y))
    axes.grid(alpha=0.3)
    if curve.lines:
        axes.legend(fontsize="small")
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a letter that its font lacks, which is drawn as a box
        figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()


class _Frame:
    """Where the points of some lines come to stand."""

    def __init__(self, lines: dict[str, Points], log_x: bool) -> None:
        self._log = log_x
        points = [self._scaled(point) for line in lines.values() for point in line]
        self._x = _wide(min(x for x, _ in points), max(x for x, _ in points))
        low, high = _wide(min(y for _, y in points), max(y for _, y in points))
        self._y = low - _PAD * (high - low), high + _PAD * (high - low)

    def _scaled(self, point: tuple[float, float]) -> tuple[float, float]:
        return (math.log10(point[0]), point[1]) if self._log else point

    def _across(self, x: float) -> float:
        low, high = self._x
        return _LEFT + (x - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def _down(self, y: float) -> float:
        low, high = self._y
        return _TOP + (high - y) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def line(self, points: Points, place: int) -> str:
        """Draw a line, of one point a dot."""
        ends = [self._scaled(point) for point in points]
        ends = ends * 2 if len(ends) == 1 else ends
        path = " ".join(f"{self._across(x):.1f},{self._down(y):.1f}" for x, y in ends)
        return f'<polyline points="{path}" {_pen(place)} stroke-linejoin="round"/>'

    def grid(self) -> str:
        """Draw the frame, with lines and names at round numbers."""
        across = log_ticks(*self._x, 9) if self._log else ticks(*self._x, 9)
        down = ticks(*self._y, 7)
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        names = [power(x) for x in across] if self._log else _named(across)
        parts = ['<g stroke="currentColor" stroke-opacity=".2">']
        parts += [f'<path d="M{self._across(x):.1f} {_TOP}V{bottom}"/>' for x in across]
        parts += [f'<path d="M{_LEFT} {self._down(y):.1f}H{right}"/>' for y in down]
        parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke-opacity=".7"/></g>')
        for x, name in zip(across, names, strict=True):
            parts.append(_label(self._across(x), bottom + 16, name, "middle"))
        for y, name in zip(down, _named(down), strict=True):
            parts.append(_label(_LEFT - 6, self._down(y) + 4, name, "end"))
        return "".join(parts)


def _drawable(points: Sequence[tuple[float, float]], log_x: bool) -> Points:
    """Points with a place in the diagram."""
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y) and (x > 0 or not log_x)]


def _wide(low: float, high: float) -> tuple[float, float]:
    """A range that is not a point."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    room = abs(low) * 0.1 or 1.0
    return low - room, high + room


def _named(marks: Sequence[float]) -> list[str]:
    step = abs(marks[1] - marks[0]) if len(marks) > 1 else 0.0
    return [label(mark, step) for mark in marks]


def _pen(place: int) -> str:
    dash = _DASHES[place // len(COLOURS) % len(_DASHES)]
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    colour = COLOURS[place % len(COLOURS)]
    return f'fill="none" stroke="{colour}" stroke-width="2" stroke-linecap="round"{dashed}'


def _label(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor"{more}>{text(words)}</text>'
    )


def _key_rows(names: Sequence[str]) -> list[list[tuple[int, str, int]]]:
    """Rows of (number of the line, its name, its x), filled from the left by rough widths."""
    rows: list[list[tuple[int, str, int]]] = []
    x = _WIDTH
    for place, name in enumerate(names):
        width = 44 + 7 * len(name)
        if x + width > _WIDTH:
            rows.append([])
            x = _LEFT
        rows[-1].append((place, name, x))
        x += width
    return rows


def _key(rows: list[list[tuple[int, str, int]]]) -> str:
    parts = []
    for number, row in enumerate(rows):
        y = _HEIGHT + 6 + _ROW * number
        for place, name, x in row:
            parts.append(f'<path d="M{x} {y - 4}h22" {_pen(place)}/>' + _label(x + 28, y, name, "start"))
    return "".join(parts)


def _plain(words: str) -> str:
    """Text without matplotlib's mathematics, and without what a terminal or page would not show either."""
    return clean(words).replace("$", r"\$")
