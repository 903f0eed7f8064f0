"""Judge whether a face looks aligned: eyes where every model of the field expects them.

There is no detector here. The image's light and dark, evened out locally, is correlated with those of a face
in the template's place (eyes, brows and mouth dark, nose, cheeks and forehead light), moved by up to 24
pixels, scaled by 0.5 to 1.3 and turned by 30°. An image is aligned where the template's own place (±4 pixels,
scale 0.75 to 1.3, upright) correlates best, and not aligned where a place elsewhere is clearly better.

Measured on 56 aligned photographs (popkorn's 8 and LFW's 20, each also mirrored), the same ones warped, and
others; the thresholds were chosen on them, so expect a little worse of faces in general:

=============================  =======  ===========  ==========
                               aligned  not aligned  no opinion
=============================  =======  ===========  ==========
aligned                           79 %          0 %        21 %
moved within 3 px, 5°, 6 %        75 %          0 %        25 %
10 px right and down               4 %         86 %        11 %
16 px right, 18 px left            1 %         74 %        25 %
16 px up, 18 px down               0 %         99 %         1 %
turned 25°                         1 %         91 %         8 %
upside down                       12 %         34 %        54 %
0.6 times the size                 5 %         70 %        25 %
1.3 times the size                43 %         14 %        43 %
ORL, stretched, not aligned       26 %         36 %        38 %
drawn faces of the demo           28 %         25 %        47 %
noise                              0 %          0 %       100 %
=============================  =======  ===========  ==========

So it speaks of a data set, and is no reason to throw an image out.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from arcterm.formats.images import Pixels

Floats = NDArray[np.float32]

_STEP = 4  # pixels of a 112×112 image per cell, and per shift
_GRID, _REACH = 28, 6  # cells of the image, and cells that a face is moved by
_CENTRE = (56.0, 66.0)
_SCALES, _TURNS = (0.5, 0.6, 0.75, 0.9, 1.05, 1.3), (-30, 0, 30)
_BLUR = 4.0  # cells over which light is evened out
_BETTER, _LEAST_FAR, _LEAST_NEAR = 0.12, 0.4, 0.3
_NOTHING = 0.15
"""Below this there is no face in the template's place; noise reaches it, faces elsewhere do not."""

# Light and dark of a face in the template's place: x, y, width, height (σ of a bell, pixels), weight.
_BELLS = np.array(
    [
        (39, 51, 7.5, 3.5, -1.2),  # eyes
        (73, 51, 7.5, 3.5, -1.2),
        (36, 43, 10, 4, -0.5),  # brows
        (76, 43, 10, 4, -0.5),
        (56, 48, 4.5, 9, 0.7),  # nose
        (56, 62, 4, 6, 0.4),
        (56, 76, 10, 3, -0.6),
        (56, 30, 20, 7, 0.8),  # forehead
        (36, 67, 8, 6, 1.0),  # cheeks
        (76, 67, 8, 6, 1.0),
        (56, 88, 14, 4, -0.7),  # mouth
        (56, 105, 9, 5, 0.6),  # chin
        (13, 66, 6, 24, -0.7),  # beside the face
        (99, 66, 6, 24, -0.7),
    ]
)


class _Bank(NamedTuple):
    """Faces (H, 784) of unit length, masks (H / turns, 784) with their sums, and which are near or far."""

    faces: Floats
    masks: Floats
    weights: Floats
    near: NDArray[np.bool_]
    far: NDArray[np.bool_]


def prepare(rgb: Pixels) -> Floats:
    """Light and dark of an image, evened out locally: float32 (28, 28), about -2..2."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), _BLUR)
    spread = np.sqrt(cv2.GaussianBlur(detail * detail, (0, 0), _BLUR) + 9)
    return cast(Floats, detail / spread)


def judge(prepared: Floats) -> NDArray[np.int8]:
    """Of images (N, 28, 28) from `prepare`, (N,): 1 aligned, -1 not aligned, 0 no opinion."""
    near, far = _best(prepared)
    aligned = (near > far) & (near > _LEAST_NEAR)
    elsewhere = (far - near > _BETTER) & (far > _LEAST_FAR)
    return np.where(aligned, 1, np.where(elsewhere, -1, 0)).astype(np.int8)


def astray(prepared: Floats) -> NDArray[np.bool_]:
    """Of images (N, 28, 28) that were aligned, (N,): whether the face seems to be elsewhere, or nowhere.

    Of a few such images nothing follows; where they are most of a data set, its landmarks are wrong.
    """
    near, far = _best(prepared)
    found: NDArray[np.bool_] = ((far - near > _BETTER) & (far > _LEAST_FAR)) | (near < _NOTHING)
    return found


def _best(prepared: Floats) -> tuple[Floats, Floats]:
    """The best correlations (N,) with a face in the template's place, and with one elsewhere."""
    scores = _correlations(prepared.reshape(-1, _GRID * _GRID))
    return scores[:, _bank().near].max(axis=1), scores[:, _bank().far].max(axis=1)


def _correlations(images: Floats) -> Floats:
    """Correlation coefficient of each image (N, 784) with each face under its mask: (N, H)."""
    bank = _bank()
    mean = images @ bank.masks.T / bank.weights
    variance = np.maximum((images * images) @ bank.masks.T / bank.weights - mean * mean, 1e-3)
    spread = np.repeat(np.sqrt(variance * bank.weights), len(_TURNS), axis=1)
    return cast(Floats, images @ bank.faces.T / spread)


@cache
def _bank() -> _Bank:
    shifts = np.arange(-_REACH, _REACH + 1) * _STEP
    faces, masks, places = [], [], []
    for scale in _SCALES:
        drawn = [_draw(scale, turn) for turn in _TURNS]
        for (row, dy), (column, dx) in product(enumerate(shifts[::-1]), enumerate(shifts[::-1])):
            window = np.s_[row : row + _GRID, column : column + _GRID]
            mask = drawn[0][1][window]
            masks.append(mask.ravel())
            for (face, _), turn in zip(drawn, _TURNS, strict=True):
                centred = (face[window] - np.average(face[window], weights=mask)) * mask
                faces.append((centred / np.linalg.norm(centred)).ravel())
                places.append((max(abs(dx), abs(dy)), scale, turn))
    shift, size, turned = np.array(places).T
    upright = turned == 0
    near = (shift <= _STEP) & (size > 0.7) & (size < 1.2) & upright
    far = (shift > 2 * _STEP) | (size < 0.7) | ~upright
    all_masks = np.array(masks, np.float32)
    return _Bank(np.array(faces, np.float32), all_masks, all_masks.sum(axis=1), near, far)


def _draw(scale: float, degrees: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A face and its mask on a canvas over which a window of the image's size is moved."""
    side = _GRID + 2 * _REACH
    y, x = (np.mgrid[0:side, 0:side] - _REACH) * _STEP + (_STEP - 1) / 2
    angle = np.deg2rad(degrees)
    cos, sin = np.cos(angle) / scale, np.sin(angle) / scale
    dx, dy = x - _CENTRE[0], y - _CENTRE[1]
    u, v = cos * dx + sin * dy + _CENTRE[0], cos * dy - sin * dx + _CENTRE[1]
    left, top, width, height, weight = _BELLS.T[:, :, None, None]
    bells = np.exp(-(((u - left) / width) ** 2 + ((v - top) / height) ** 2) / 2)
    beyond = ((u - _CENTRE[0]) / 46) ** 2 + ((v - _CENTRE[1]) / 46) ** 2 - 1
    return (weight * bells).sum(axis=0), np.exp(-6 * np.maximum(beyond, 0))
