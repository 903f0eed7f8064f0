"""Pictures in a terminal: pixels to lines of coloured half blocks, or of signs from light to dark."""

from __future__ import annotations

from itertools import groupby, zip_longest
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]
Mode = Literal["colour", "grey", "ascii"]

# From dark to bright, as on a dark screen.
RAMPS: dict[Mode, str] = {"grey": " ░▒▓█", "ascii": " .:-=+*#%@"}
UPPER_HALF = "▀"
# A cell is about twice as high as wide.
CELL_ASPECT = 2
# Ordered dithering (Bayer 1973), in levels: what a few signs can't show, neighbours show together.
_DITHER = (np.array([[0, 8, 2, 10], [12, 4, 14, 6], [3, 11, 1, 9], [15, 7, 13, 5]]) + 0.5) / 16 - 0.5


class Piece(NamedTuple):
    """Text in one colour on another, None for the terminal's own, and in a style by name, such as bold."""

    text: str
    front: Colour | None = None
    back: Colour | None = None
    style: str = ""


Line = list[Piece]


def draw(pixels: Pixels, columns: int, mode: Mode = "colour") -> list[Line]:
    """`pixels`, uint8 RGB (H, W, 3), in `columns` cells a line and as many lines as keep its shape.

    There are at most as many lines as columns, so that a strip of an image doesn't fill the screen.
    In colour a cell shows two pixels, one above the other; otherwise one, in signs that get denser with
    brightness, which is spread over all of them.
    """
    height, width = pixels.shape[:2]
    lines = min(max(1, round(columns * height / width / CELL_ASPECT)), columns)
    if mode == "colour":
        return _half_blocks(_scaled(pixels, columns, 2 * lines))
    return _signs(_scaled(pixels, columns, lines), mode)


def beside(pictures: list[list[Line]], gap: int = 1) -> list[Line]:
    """Pictures next to one another, `gap` cells apart; below lower ones there is nothing."""
    empty = [[Piece(" " * sum(len(piece.text) for piece in picture[0]))] for picture in pictures]
    between = Piece(" " * gap)
    joined: list[Line] = []
    for row in zip_longest(*pictures):
        lines = [line or empty[n] for n, line in enumerate(row)]
        joined.append([piece for n, line in enumerate(lines) for piece in ([between] * (n > 0) + line)])
    return joined


def placard(text: str, columns: int) -> list[Line]:
    """A text where a square picture of `columns` cells would be."""
    lines = max(1, columns // CELL_ASPECT)
    middle = lines // 2
    return [[Piece((text[:columns] if n == middle else "").center(columns))] for n in range(lines)]


def _scaled(pixels: Pixels, width: int, height: int) -> Pixels:
    """Means of what each pixel covers; larger than the image, it is interpolated."""
    smaller = width <= pixels.shape[1] and height <= pixels.shape[0]
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=method), np.uint8)


def _half_blocks(pixels: Pixels) -> list[Line]:
    """(2 L, C, 3) to L lines of C cells."""
    lines = []
    for upper, lower in zip(pixels[::2].tolist(), pixels[1::2].tolist(), strict=True):
        cells = [(tuple(a), tuple(b)) for a, b in zip(upper, lower, strict=True)]
        lines.append([Piece(UPPER_HALF * len(list(run)), *colours) for colours, run in groupby(cells)])
    return lines


def _signs(pixels: Pixels, mode: Mode) -> list[Line]:
    """(L, C, 3) to L lines of C signs."""
    ramp = RAMPS[mode]
    plain = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    # Faces are often dark, or flat, and signs are few: half way to an equal use of all of them.
    grey = (plain.astype(np.float64) + cv2.equalizeHist(plain)) / 2
    low, high = float(grey.min()), float(grey.max())
    grey = (grey - low) / (high - low) if high > low else grey / 255
    threshold = np.resize(_DITHER, (4, grey.shape[1]))
    threshold = np.take(threshold, np.arange(grey.shape[0]) % 4, axis=0)
    levels = np.clip(np.rint(grey * (len(ramp) - 1) + threshold), 0, len(ramp) - 1).astype(int)
    return [[Piece("".join(ramp[level] for level in row))] for row in levels.tolist()]
