"""What CVLface's grid-sample augmentation does to an image (Kim et al. 2024, github.com/mk-minchul/CVLface).

The geometry is one affine map, after which parts are taken away, sharpness is lost and colours change. `u`
are numbers in [0, 1), as many as the function takes; images are uint8 RGB (H, W, 3) and changed in place.
The constants are those of its published settings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from arcterm.formats.images import Pixels

_TURNED = 0.2  # share of the warped images that are rotated too
_HOLES = (12, 20)
_HOLE = 16
_WIDEST = 9  # of the square that is averaged
_SIGMA = 4.0
_BINS = (5, 23)  # of 0.03 each: changes from 0.15 to 0.66
_BIN = 0.03
_RARE = ("equalize", "grey")
_KINDS = ("identity", "brightness", "saturation", "contrast", "sharpness", *_RARE)
_SMOOTH = np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]], np.float32) / 13
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

WARPED, HOLED, BLURRED, COLOURED = 8, 1 + 2 * _HOLES[1], 2, 10
"""How many numbers each function takes."""


def matrix(
    size: tuple[int, int], low: float, high: float, angle: float, offset: float, u: Sequence[float]
) -> NDArray[np.float64]:
    """Return the affine map (2, 3) of places in an image of `size` (height, width) to where they come to lie.

    The image is turned about its middle by at most `angle` degrees, in a fifth of the cases, and scaled by
    `low` … `high`. It is moved so far that its edge stays at the edge, or inside if it became smaller, and
    beyond that by at most `offset` of half its side.
    """
    height, width = size
    turn = math.radians((2 * u[1] - 1) * angle) if u[0] < _TURNED else 0.0
    scale = low + u[2] * (high - low)
    rotation = scale * np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    middle = np.array([width, height]) / 2
    room = middle / scale - middle + u[3] * offset * middle
    signs = np.where(np.array([u[4], u[5]]) < 0.5, 1.0, -1.0)
    shift = scale * signs * room * np.array([u[6], u[7]])
    return np.column_stack([rotation, middle - rotation @ middle - shift])


def warp(pixels: Pixels, low: float, high: float, angle: float, offset: float, u: Sequence[float]) -> None:
    """Map an image by `matrix`; what comes in from outside is black."""
    height, width = pixels.shape[:2]
    mapped = cv2.warpAffine(pixels, matrix((height, width), low, high, angle, offset, u), (width, height))
    pixels[:] = mapped


def punch(pixels: Pixels, u: Sequence[float]) -> None:
    """Blacken 12 to 20 squares of 16 pixels."""
    height, width = pixels.shape[:2]
    fewest, most = _HOLES
    for number in range(fewest + int(u[0] * (most - fewest + 1))):
        y = int(u[1 + 2 * number] * (max(0, height - _HOLE) + 1))
        x = int(u[2 + 2 * number] * (max(0, width - _HOLE) + 1))
        pixels[y : y + _HOLE, x : x + _HOLE] = 0


def blur(pixels: Pixels, u: Sequence[float]) -> None:
    """Average squares of 1 to 9 pixels a side, or weigh by a normal distribution of a deviation up to 4."""
    if u[0] < 0.5:
        side = 1 + int(u[1] * _WIDEST)
        pixels[:] = cv2.blur(pixels, (side, side))
    elif sigma := u[1] * _SIGMA:
        pixels[:] = cv2.GaussianBlur(pixels, (0, 0), sigma)


def recolour(pixels: Pixels, u: Sequence[float]) -> None:
    """Apply two of: nothing, brightness, saturation, contrast or sharpness × 1 ± 0.15 … 0.66, equalize, grey.

    The last two are drawn again twice, so they are rare.
    """
    for start in (0, 5):
        part = u[start : start + 5]
        drawn = [_KINDS[int(x * len(_KINDS))] for x in part[:3]]
        kind = next((kind for kind in drawn if kind not in _RARE), drawn[-1])
        change = (_BINS[0] + int(part[3] * (_BINS[1] - _BINS[0]))) * _BIN
        _change(pixels, kind, 1 + change if part[4] < 0.5 else 1 - change)


def _change(pixels: Pixels, kind: str, factor: float) -> None:
    """Scale the difference of an image to one without the quality `kind` by `factor`."""
    if kind == "identity":
        return
    if kind == "equalize":
        for channel in range(3):
            pixels[:, :, channel] = cv2.equalizeHist(np.ascontiguousarray(pixels[:, :, channel]))
        return
    exact = pixels.astype(np.float32)
    without: NDArray[np.float32] | float = 0.0  # black, for brightness
    if kind == "sharpness":
        without = exact.copy()
        without[1:-1, 1:-1] = cv2.filter2D(exact, -1, _SMOOTH)[1:-1, 1:-1]  # the edge stays
    elif kind != "brightness":
        grey = exact @ _LUMA
        without = grey[:, :, None] if kind in ("saturation", "grey") else float(grey.mean())
    left = 0.0 if kind == "grey" else factor
    pixels[:] = np.rint((exact * left + without * (1 - left)).clip(0, 255)).astype(np.uint8)
