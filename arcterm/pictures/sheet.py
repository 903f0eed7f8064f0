"""A sheet of small pictures with a caption below each, as one image to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Colour = tuple[int, int, int]

BACKGROUND: Colour = (24, 26, 30)
TEXT: Colour = (214, 216, 220)
_SIDE, _GAP, _FRAME, _CAPTION, _TITLE = 112, 8, 3, 30, 34
_FONT = cv2.FONT_HERSHEY_SIMPLEX


class Tile(NamedTuple):
    """A picture, uint8 RGB (H, W, 3), two lines below it, and the colour of its frame if it has one."""

    pixels: Pixels
    caption: str
    note: str = ""
    frame: Colour | None = None


def draw_sheet(tiles: Sequence[Tile], title: str, columns: int = 10) -> Pixels:
    """uint8 RGB (H, W, 3): `tiles` in rows below a title; pictures are fitted into squares."""
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    width = max(columns * (_SIDE + 2 * _FRAME + _GAP) + _GAP, 480)
    height = _TITLE + rows * (_SIDE + 2 * _FRAME + _CAPTION + _GAP) + _GAP
    sheet = np.full((height, width, 3), BACKGROUND, np.uint8)
    _write(sheet, title, (_GAP, 22), width - 2 * _GAP, 0.5, TEXT)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        x = _GAP + column * (_SIDE + 2 * _FRAME + _GAP)
        y = _TITLE + row * (_SIDE + 2 * _FRAME + _CAPTION + _GAP)
        _place(sheet, tile, x, y)
    return sheet


def _place(sheet: Pixels, tile: Tile, x: int, y: int) -> None:
    outer = _SIDE + 2 * _FRAME
    if tile.frame is not None:
        sheet[y : y + outer, x : x + outer] = tile.frame
        sheet[y + _FRAME : y + outer - _FRAME, x + _FRAME : x + outer - _FRAME] = BACKGROUND
    height, width = tile.pixels.shape[:2]
    scale = _SIDE / max(height, width)
    sides = max(1, round(width * scale)), max(1, round(height * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = cv2.resize(tile.pixels, sides, interpolation=method)
    left, top = x + _FRAME + (_SIDE - sides[0]) // 2, y + _FRAME + (_SIDE - sides[1]) // 2
    sheet[top : top + sides[1], left : left + sides[0]] = small
    _write(sheet, tile.caption, (x, y + outer + 12), outer, 0.36, TEXT)
    _write(sheet, tile.note, (x, y + outer + 25), outer, 0.36, tile.frame or (140, 144, 150))


def _write(sheet: Pixels, text: str, place: tuple[int, int], room: int, size: float, colour: Colour) -> None:
    """Write a line, cut to its room at the front, where names are alike; OpenCV's font has ASCII alone."""
    plain = text.encode("ascii", "replace").decode()
    while plain and cv2.getTextSize(plain, _FONT, size, 1)[0][0] > room:
        plain = f"..{plain[3:]}" if plain.startswith("..") else f"..{plain[1:]}"
        if len(plain) <= 2:
            break
    cv2.putText(sheet, plain, place, _FONT, size, colour, 1, cv2.LINE_AA)
