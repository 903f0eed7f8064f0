"""The similarity transform that brings a face's five landmarks to where networks expect them.

Landmarks are (5, 2), x and y in pixels of left eye, right eye, nose, left and right corner of the mouth, left
and right as one sees them in the picture.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from arcterm.errors import DataError
from arcterm.formats import images
from arcterm.formats.images import Pixels

SIDE = 112
SIZE = (SIDE, SIDE)
MARGIN = 44
# InsightFace's places in an image of 112×112: SphereFace's of 112×96 with x moved by 8.
TEMPLATE = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)

_FARTHEST = 1e6  # pixels
_SMALLEST = 1e-3  # pixels that five landmarks must be apart, and the smallest enlargement
_CV_SIDE = 32766  # OpenCV's warp takes no longer sides


def template(size: tuple[int, int] = SIZE) -> NDArray[np.float64]:
    """(5, 2) float64: where the landmarks go in an image of `size` (height, width).

    Scaled by height / 112 about the middle of the width; (112, 96) gives SphereFace's own numbers.
    """
    height, width = size
    scale = height / SIDE
    return np.array(TEMPLATE) * scale + ((width - scale * SIDE) / 2, 0)


def estimate(
    landmarks: ArrayLike, size: tuple[int, int] = SIZE, source: str = "the image"
) -> NDArray[np.float64]:
    """(2, 3) float64: turn, scale and shift that take `landmarks` nearest to the template of `size`.

    Raises `DataError` for landmarks that are no numbers, far outside, all in one place, or not like a face's.
    """
    points = np.asarray(landmarks, np.float64)
    if points.shape != (5, 2) or not np.isfinite(points).all() or np.abs(points).max() > _FARTHEST:
        raise DataError(
            f"{source}: its landmarks are not five places in an image", "correct them in the list"
        )
    return fit(points, template(size), source)


def fit(
    points: NDArray[np.float64], goals: NDArray[np.float64], source: str = "the image"
) -> NDArray[np.float64]:
    """(2, 3) float64: turn, scale and shift that take `points` (n, 2) nearest to `goals` (n, 2).

    The least squares of Umeyama (1991) in the plane. With points as complex numbers about their means that is
    q ≈ z·p, z = Σ p̄·q / Σ |p|², |z| the scale and arg z the turn; it never mirrors. Raises `DataError` for
    points that are all in one place.
    """
    here, there = points.mean(0), goals.mean(0)
    p = (points - here) @ (1, 1j)
    q = (goals - there) @ (1, 1j)
    spread = float((np.abs(p) ** 2).sum())
    z = complex((p.conj() * q).sum() / spread) if spread > _SMALLEST**2 else 0j
    if abs(z) < _SMALLEST:
        raise DataError(
            f"{source}: its landmarks are in one place or not like a face's", "correct them in the list"
        )
    turn = np.array([[z.real, -z.imag], [z.imag, z.real]])
    return np.column_stack([turn, there - turn @ here])


def warp(
    rgb: Pixels, landmarks: ArrayLike, size: tuple[int, int] = SIZE, source: str = "the image"
) -> Pixels:
    """uint8 RGB (*size, 3): `rgb` with its `landmarks` at the template's places, bilinear, black outside.

    Raises `DataError` naming `source` if that can't be.
    """
    return transform(rgb, estimate(landmarks, size, source), size, source)


def transform(
    rgb: Pixels, matrix: NDArray[np.float64], size: tuple[int, int], source: str = "the image"
) -> Pixels:
    """uint8 RGB (*size, 3): `rgb` moved by `matrix` (2, 3), bilinear, black outside; raises `DataError`."""
    if max(rgb.shape[:2]) > _CV_SIDE:
        raise DataError(f"{source}: a side of {max(rgb.shape[:2])} pixels is too long", "make it smaller")
    return cast(Pixels, cv2.warpAffine(rgb, matrix, (size[1], size[0]), flags=cv2.INTER_LINEAR))


def crop(
    rgb: Pixels,
    box: tuple[int, int, int, int],
    size: tuple[int, int] = SIZE,
    margin: int = MARGIN,
    source: str = "the image",
) -> Pixels:
    """uint8 RGB (*size, 3): `box` (x1, y1, x2, y2) of `rgb` and half the `margin` on every side, stretched.

    What InsightFace did in 2018 for a face without landmarks. Raises `DataError` for a box outside the image.
    """
    height, width = rgb.shape[:2]
    left, top = max(box[0] - margin // 2, 0), max(box[1] - margin // 2, 0)
    right, bottom = min(box[2] + margin // 2, width), min(box[3] + margin // 2, height)
    if box[0] >= box[2] or box[1] >= box[3] or left >= right or top >= bottom:
        raise DataError(
            f"{source}: its box {', '.join(map(str, box))} holds nothing of {width}×{height} pixels",
            "correct it in the list",
        )
    return images.resize(np.ascontiguousarray(rgb[top:bottom, left:right]), size)
