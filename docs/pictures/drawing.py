"""Screens of the console as SVG: dots, bars and signs as shapes, every word with its width.

So a picture is the same whatever the fonts lack. Dots of one colour are one path of points with round ends.
"""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

WIDTH, HEIGHT = 10, 20
MARGIN = 16
FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
_FRONT, _BACK = "#e0e0e0", "#121212"
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille pattern."""
_LINES = {
    "─": "LR",
    "━": "LR",
    "│": "UD",
    "└": "UR",
    "┬": "LRD",
    "┤": "LUD",
    "┴": "LRU",
    "┼": "LRUD",
    "├": "URD",
}
_LINES |= {"┌": "RD", "┐": "LD", "┘": "LU", "╭": "RD", "╮": "LD", "╯": "LU", "╰": "RU", "╴": "L", "╶": "R"}
_TRIANGLES = {
    "▶": "1,5 9,10 1,15",
    "▸": "2,7 8,10 2,13",
    "▼": "1,7 9,7 5,14",
    "▾": "2,8 8,8 5,13",
    "▴": "2,13 8,13 5,8",
    "◂": "8,7 2,10 8,13",
}
_STROKES = {
    "✓": "2,11 4.5,14 8.5,6",
    "✗": "2,6 8,14 M8,6 2,14",
    "↑": "2,9 5,5 8,9 M5,5 5,15",
    "↓": "2,11 5,15 8,11 M5,5 5,15",
    "→": "1,10 9,10 M6,7 9,10 6,13",
    "←": "9,10 1,10 M4,7 1,10 4,13",
    "‖": "3,5 3,15 M7,5 7,15",
    "◌": "5,6 9,10 5,14 1,10 5,6",
    "○": "5,6 9,10 5,14 1,10 5,6",
    "╌": "1,10 4,10 M6,10 9,10",
}
_SQUARES = {"■": (1, 6, 8, 8), "●": (2, 7, 6, 6), "▐": (5, 0, 5, 20), "▌": (0, 0, 5, 20), "▀": (0, 0, 10, 10)}
_SQUARES |= {
    "▔": (0, 0, 10, 2),
    "▎": (0, 0, 2.5, 20),
    "▊": (0, 0, 7.5, 20),
    "▕": (8.8, 0, 1.2, 20),
    "▏": (0, 0, 1.2, 20),
}
_SHADES = {"░": 0.25, "▒": 0.5, "▓": 0.75}


class Sketch:
    """The shapes of a screen, gathered by colour, below its words."""

    def __init__(self, behind: str) -> None:
        self._behind = behind
        self._backs: dict[str, list[str]] = defaultdict(list)
        self._fills: dict[str, list[str]] = defaultdict(list)
        self._lines: dict[tuple[str, float], list[str]] = defaultdict(list)
        self._dots: dict[str, list[str]] = defaultdict(list)
        self._shades: list[str] = []
        self._words: list[str] = []

    def row(self, strip: Strip, y: int) -> None:
        """Take in one row of the screen: backgrounds, shapes, words."""
        x = MARGIN
        for text, given, _ in strip:
            wide, style = WIDTH * cell_len(text), given or Style()
            front, back = (c.get_truecolor().hex if c else "" for c in (style.color, style.bgcolor))
            if style.reverse:
                front, back = back or _BACK, front or _FRONT
            if back and back != self._behind:
                self._backs[back].append(f"M{x} {y}h{wide}v{HEIGHT}h-{wide}z")
            for sign, at in self._shapes_of(text, x, y, front or _FRONT, bool(style.bold)):
                self._shape(sign, at, y, front or _FRONT, back or self._behind)
            x += wide

    def _shapes_of(self, text: str, x: int, y: int, colour: str, bold: bool) -> Iterator[tuple[str, int]]:
        """Write the words of `text`, and yield the signs that are shapes with their places."""
        word, start = "", x
        for sign in [*text, " "]:
            shaped = is_shape(sign)
            if word and (shaped or sign == " "):
                look = f'fill="{colour}"' + (' font-weight="bold"' if bold else "")
                size = f'textLength="{x - start}" lengthAdjust="spacingAndGlyphs"'
                self._words.append(f'<text x="{start}" y="{y + 15}" {look} {size}>{html.escape(word)}</text>')
                word = ""
            if shaped:
                yield sign, x
            elif sign != " ":
                start = start if word else x
                word += sign
            x += WIDTH * cell_len(sign)

    def _shape(self, sign: str, x: int, y: int, colour: str, back: str) -> None:
        code = ord(sign)
        if 0x2800 < code < 0x2900:
            dots = (_DOTS[bit] for bit in range(8) if code >> bit & 1)
            self._dots[colour].append("".join(f"M{x + 2.5 + 5 * c} {y + 2.5 + 5 * r}h0" for c, r in dots))
        elif "▁" <= sign <= "█":
            tall = HEIGHT * (code - 0x2580) / 8
            self._fills[colour].append(f"M{x} {y + HEIGHT - tall}h{WIDTH}v{tall}h-{WIDTH}z")
        elif sign in _SQUARES:
            left, top, wide, tall = _SQUARES[sign]
            self._fills[colour].append(f"M{x + left} {y + top}h{wide}v{tall}h-{wide}z")
        elif sign in _TRIANGLES:
            points = [tuple(map(float, point.split(","))) for point in _TRIANGLES[sign].split()]
            self._fills[colour].append("M" + "L".join(f"{x + a:g} {y + b:g}" for a, b in points) + "z")
        elif sign in _SHADES:
            look = f'fill="{colour}" fill-opacity="{_SHADES[sign]}"'
            self._shades.append(f'<path d="M{x} {y}h{WIDTH}v{HEIGHT}h-{WIDTH}z" {look}/>')
        elif sign in _STROKES:
            for part in _STROKES[sign].split(" M"):
                points = [tuple(map(float, point.split(","))) for point in part.split()]
                self._lines[colour, 1.2].append("M" + "L".join(f"{x + a:g} {y + b:g}" for a, b in points))
        else:
            ends = {"L": (x, y + 10), "R": (x + WIDTH, y + 10), "U": (x + 5, y), "D": (x + 5, y + HEIGHT)}
            rays = "".join(f"M{x + 5} {y + 10}L{a} {b}" for a, b in (ends[end] for end in _LINES[sign]))
            self._lines[colour, 3 if sign == "━" else 1.2].append(rays)

    def parts(self) -> Iterator[str]:
        """Yield the elements, what lies lowest first."""
        for colour, paths in self._backs.items():
            yield f'<path d="{"".join(paths)}" fill="{colour}"/>'
        yield from self._shades
        for colour, paths in self._fills.items():
            yield f'<path d="{"".join(paths)}" fill="{colour}"/>'
        for (colour, width), paths in self._lines.items():
            yield f'<path d="{"".join(paths)}" fill="none" stroke="{colour}" stroke-width="{width}"/>'
        for colour, paths in self._dots.items():
            pen = f'stroke="{colour}" stroke-width="3.4" stroke-linecap="round"'
            yield f'<path class="dots" d="{"".join(paths)}" fill="none" {pen}/>'
        yield from self._words


def is_shape(sign: str) -> bool:
    """Whether a character is drawn rather than left to a font."""
    if 0x2800 < ord(sign) < 0x2900 or "▁" <= sign <= "█":
        return True
    return any(sign in known for known in (_LINES, _TRIANGLES, _STROKES, _SQUARES, _SHADES))


def sketch(strips: Sequence[Strip], behind: str) -> list[str]:
    """Return the elements of a screen whose rows are `strips` on the colour `behind`."""
    made = Sketch(behind)
    for number, strip in enumerate(strips):
        made.row(strip, MARGIN + number * HEIGHT)
    return list(made.parts())


def document(parts: Sequence[str], behind: str, size: tuple[int, int], style: str = "") -> str:
    """Return a picture of a screen of `size` (columns, rows)."""
    width, height = size[0] * WIDTH + 2 * MARGIN, size[1] * HEIGHT + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        *([f"<style>{style}</style>"] if style else []),
        f'<rect width="{width}" height="{height}" rx="8" fill="{behind}"/>',
        f'<g font-family="{FONT}" font-size="16">',
        *parts,
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def film(frames: Sequence[tuple[list[str], float]], behind: str, size: tuple[int, int]) -> str:
    """Return a picture that shows `frames`, each for its seconds, again and again, without a script."""
    total = sum(seconds for _, seconds in frames)
    rules, parts, begun = [], [], 0.0
    for number, (drawn, seconds) in enumerate(frames):
        first, last = 100 * begun / total, 100 * (begun + seconds) / total
        steps = f"0%{{opacity:0}}{first:.3f}%{{opacity:1}}{last:.3f}%,to{{opacity:0}}"
        if number == 0:
            steps = f"0%{{opacity:1}}{last:.3f}%,to{{opacity:0}}"
        rules.append(
            f"@keyframes f{number}{{{steps}}}#f{number}{{animation:f{number} {total}s step-end infinite}}"
        )
        hidden = "" if number == 0 else ' opacity="0"'  # what shows no animation shows the first
        area = f'width="{size[0] * WIDTH}" height="{size[1] * HEIGHT}"'
        back = f'<rect x="{MARGIN}" y="{MARGIN}" {area} fill="{behind}"/>'
        parts.append(f'<g id="f{number}"{hidden}>{back}{"".join(drawn)}</g>')
        begun += seconds
    return document(parts, behind, size, "".join(rules))
