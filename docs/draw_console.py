"""Draws the console at a run into docs/console.svg: python docs/draw_console.py RUNS_DIR RUN

It is the console itself, run without a terminal. Braille, bars and signs are drawn as shapes and every text
is given its width, so that the picture is the same where the fonts lack them.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from html import escape
from pathlib import Path

from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from arcterm.console.app import Console

COLUMNS, ROWS = 120, 36
WIDTH, HEIGHT = 10, 20
MARGIN = 16
FONT = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of each bit of a braille pattern."""
_LINES = {"─": "LR", "━": "LR", "│": "UD", "└": "UR", "┬": "LRD", "┤": "LUD", "┴": "LRU", "┼": "LRUD"}
_TRIANGLES = {"▶": "1,5 9,10 1,15", "▸": "2,7 8,10 2,13", "▼": "1,7 9,7 5,14"}
_STROKES = {"✓": "2,11 4.5,14 8.5,6", "✗": "2,6 8,14 M8,6 2,14", "↑": "2,9 5,5 8,9 M5,5 5,15"}


def drawn(sign: str, x: int, y: int, colour: str) -> str:
    """`sign` as a shape whose cell begins at (x, y); empty if it is left to the font."""
    code = ord(sign)
    if 0x2800 < code < 0x2900:
        dots = [(x + 2.5 + 5 * c, y + 2.5 + 5 * r) for bit, (c, r) in enumerate(_DOTS) if code >> bit & 1]
        return "".join(f'<circle cx="{a}" cy="{b}" r="1.7" fill="{colour}"/>' for a, b in dots)
    if "▁" <= sign <= "█":
        tall = HEIGHT * (code - 0x2580) / 8
        return f'<rect x="{x}" y="{y + HEIGHT - tall}" width="{WIDTH}" height="{tall}" fill="{colour}"/>'
    if sign == "■":
        return f'<rect x="{x + 1}" y="{y + 6}" width="8" height="8" fill="{colour}"/>'
    if sign in _TRIANGLES:
        return f'<polygon points="{_TRIANGLES[sign]}" transform="translate({x} {y})" fill="{colour}"/>'
    line = f'fill="none" stroke="{colour}" stroke-width="{3 if sign == "━" else 1.2}"'
    if sign in _STROKES:
        return f'<path d="M{_STROKES[sign]}" transform="translate({x} {y})" {line}/>'
    ends = {"L": (x, y + 10), "R": (x + WIDTH, y + 10), "U": (x + 5, y), "D": (x + 5, y + HEIGHT)}
    rays = "".join(f"M{x + 5},{y + 10} {a},{b}" for a, b in (ends[e] for e in _LINES.get(sign, "")))
    return f'<path d="{rays}" {line}/>' if rays else ""


def row(strip: Strip, y: int) -> Iterator[str]:
    """One row of the screen as SVG: backgrounds, shapes, and words with their widths."""
    x = MARGIN
    for text, given, _ in strip:
        wide, style = WIDTH * cell_len(text), given or Style()
        front, back = (c.get_truecolor().hex if c else "" for c in (style.color, style.bgcolor))
        if style.reverse:
            front, back = back or "#121212", front or "#e0e0e0"
        if back:
            yield f'<rect x="{x}" y="{y}" width="{wide}" height="{HEIGHT}" fill="{back}"/>'
        word, start = "", x
        for sign in [*text, " "]:
            shape = drawn(sign, x, y, front or "#e0e0e0")
            if word and (shape or sign == " "):
                look = f'fill="{front or "#e0e0e0"}"' + (' font-weight="bold"' if style.bold else "")
                size = f'textLength="{x - start}" lengthAdjust="spacingAndGlyphs"'
                yield f'<text x="{start}" y="{y + 15}" {look} {size}>{escape(word)}</text>'
                word = ""
            if shape:
                yield shape
            elif sign != " ":
                start = start if word else x
                word += sign
            x += WIDTH * cell_len(sign)
        x -= WIDTH  # the blank that ended the last word


async def screen(root: Path, run: str) -> tuple[list[Strip], str]:
    """The rows of the run's dashboard once it is read, and the colour behind them."""
    app = Console(root, run)
    async with app.run_test(size=(COLUMNS, ROWS)) as pilot:
        while getattr(getattr(app.screen, "view", None), "loading", True):
            await pilot.pause(0.05)
        await pilot.pause(1)
        return app.screen._compositor.render_strips(), app.screen.styles.background.hex


def main() -> None:
    """Draw it."""
    strips, back = asyncio.run(screen(Path(sys.argv[1]), sys.argv[2]))
    width, height = COLUMNS * WIDTH + 2 * MARGIN, ROWS * HEIGHT + 2 * MARGIN
    body = [piece for y, strip in enumerate(strips) for piece in row(strip, MARGIN + y * HEIGHT)]
    picture = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{back}"/>',
        f'<g font-family="{FONT}" font-size="16">',
        *body,
        "</g>",
        "</svg>",
    ]
    Path(__file__).with_name("console.svg").write_text("\n".join(picture) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
