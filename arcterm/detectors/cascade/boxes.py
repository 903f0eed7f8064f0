"""The arithmetic of MTCNN's boxes, as FaceNet's ``detect_face.py`` has it, in float64.

A box is x1, y1, x2, y2, counted from 1, both ends inside it: the crop of one is the columns x1 - 1 … x2 - 1.
Source: David Sandberg's facenet, after Zhang's Matlab.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CELL, STRIDE = 12, 2
"""Pixels of P-Net's window and between two of them."""
_LARGE = 1 << 22  # pixels of a crop above which it is reduced in two steps, a few columns at a time
_MOST_SIDES = 4

Boxes = NDArray[np.float64]
Pixels = NDArray[np.uint8]


def pyramid(height: int, width: int, smallest: int, factor: float) -> list[float]:
    """Return the scales at which P-Net finds faces of `smallest` pixels and more; none for a small image."""
    first = CELL / smallest
    side = min(height, width) * first
    scales: list[float] = []
    while side >= CELL:
        scales.append(first * factor ** len(scales))
        side *= factor
    return scales


def level_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Height and width of the image at `scale`."""
    return int(np.ceil(height * scale)), int(np.ceil(width * scale))


def resize(image: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Return the means over areas, in the image's type: rounded for a uint8 image."""
    resized: NDArray[Any] = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return resized


def cells_to_boxes(columns: NDArray[Any], rows: NDArray[Any], scale: float) -> Boxes:
    """Return the windows (n, 4) of P-Net's cells, in pixels of the image."""
    first = STRIDE * np.stack([columns, rows], 1)
    return np.trunc(np.concatenate([first + 1, first + CELL], 1) / scale)


def move(boxes: Boxes, shifts: Boxes, extra: int) -> Boxes:
    """Move the corners by `shifts`, shares of the sides; `extra` is 0 after P-Net, 1 after R- and O-Net."""
    sides = boxes[:, 2:] - boxes[:, :2] + extra
    return boxes + shifts * np.tile(sides, 2)


def square(boxes: Boxes) -> Boxes:
    """Return squares of the longer side around the same middles."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longer = sides.max(1, keepdims=True)
    corner = boxes[:, :2] + sides * 0.5 - longer * 0.5
    return np.concatenate([corner, corner + longer], 1)


def usable(boxes: Boxes, image: Pixels) -> NDArray[np.bool_]:
    """Mark the boxes that can be cropped: not turned inside out, and not many times larger than the image.

    Trained weights give no others but for strange images; FaceNet's code raises an error there.
    """
    most = _MOST_SIDES * max(image.shape[:2])
    with np.errstate(invalid="ignore"):
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        fits = (sides >= 1) & (sides <= most) & (np.abs(boxes[:, :2]) <= most)
    return np.asarray(fits.all(1))


def crop(image: Pixels, box: Sequence[int], size: int) -> NDArray[np.float32]:
    """Return the crop (size, size, 3) of one box of whole numbers, reduced or enlarged; 0 outside the image.

    The means are of float64. A box that lies outside altogether is black.
    """
    x1, y1, x2, y2 = box
    height, width = image.shape[:2]
    left, top, right, bottom = max(x1 - 1, 0), max(y1 - 1, 0), min(x2, width), min(y2, height)
    if left >= right or top >= bottom:
        return np.zeros((size, size, 3), np.float32)
    inside = image[top:bottom, left:right]
    if inside.shape[:2] == (y2 - y1 + 1, x2 - x1 + 1):
        window = inside
    else:
        window = np.zeros((y2 - y1 + 1, x2 - x1 + 1, 3), np.uint8)
        window[top - y1 + 1 : bottom - y1 + 1, left - x1 + 1 : right - x1 + 1] = inside
    large = window.shape[0] * window.shape[1] > _LARGE
    exact = _flatten(window, size) if large else window.astype(np.float64)
    return resize(exact, size, size).astype(np.float32)


def _flatten(window: Pixels, size: int) -> NDArray[np.float64]:
    """Reduce the height alone, in strips: a photo's worth of float64 takes much memory."""
    strip = max(1, _LARGE // len(window))
    parts = (window[:, at : at + strip].astype(np.float64) for at in range(0, window.shape[1], strip))
    return np.concatenate([resize(part, size, part.shape[1]) for part in parts], 1)
