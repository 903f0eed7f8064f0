"""A check that five landmarks are a face's, in their order, where its box is.

A list that has x and y by turns, or eyes in another order, still gives numbers, and a transform that makes
an image of them. Here the shape is compared with the template's: what is left after the best turn, scale and
shift, as a share of the template's own spread. Faces from the front leave about 0.1, full profiles about
0.6, a mirrored face 0.97.
"""

from __future__ import annotations

from functools import cache
from itertools import permutations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arcterm.faces.similarity import template

_SUSPECT, _FITS, _HOPELESS = 0.5, 0.35, 0.8  # shares of the spread that are left
_UPRIGHT, _TURNED = 60.0, 100.0  # degrees
_FRACTION = 1.5
_LEAST_SIDE = 16  # pixels; a smaller image is not judged
_SMALL = 0.35  # of its box must be filled by a face
_LARGE = 4.0  # a box that a face is so many times as large as means nothing
_ORDERS = np.array(list(permutations(range(5))))
_NAMES = ("left eye", "right eye", "nose", "left corner of the mouth", "right corner of the mouth")

Points = NDArray[np.float64]
Box = tuple[int, int, int, int]

ORDER = (
    "write the x of left eye, right eye, nose, left and right corner of the mouth, then their y in that order"
)
_PIXELS = "write pixels of the image as it is stored, from its left upper corner"


class Fault(NamedTuple):
    """A fault of landmarks, in words that follow "the landmarks …", and how to mend the list."""

    words: str
    hint: str


INTERLEAVED = Fault("are x and y by turns", ORDER)
Y_FIRST = Fault("have y before x", ORDER)
TURNS_Y_FIRST = Fault("are y and x by turns", ORDER)
FRACTIONS = Fault("are fractions of the image", "multiply x by the image's width and y by its height")
BOX_FRACTIONS = Fault("are fractions of the box", "multiply by the box's sides and add its left upper corner")
IN_BOX = Fault("count from the box's corner", "add the box's x1 to each x and its y1 to each y")
MIRRORED = Fault("are those of the mirrored image", "take each x from the image's width - 1")
UPSIDE_DOWN = Fault("are upside down: y is counted from below", "take each y from the image's height - 1")
OUTSIDE = Fault("lie outside of the image, as if of an image of another size", _PIXELS)
BESIDE = Fault(
    "lie outside of their box, as if of an image of another size", f"{_PIXELS}; the box is x1 y1 x2 y2"
)
OTHER_SCALE = Fault("are of another size than their box", f"{_PIXELS}; the box is x1 y1 x2 y2")
BOX_OF_SIDES = Fault(
    "lie outside of their box, which looks like x y width height", "write the box as x1 y1 x2 y2"
)
NO_FACE = Fault("are not like a face's", ORDER)


def judge(landmarks: Points, box: Box | None, size: tuple[int, int]) -> Fault | None:
    """Find what is wrong with `landmarks` (5, 2), pixels of an image of (height, width) `size`, if anything.

    A wrong order shows in the shape, a wrong place in the image's sides and the `box` x1 y1 x2 y2.
    """
    if min(size) < _LEAST_SIDE:
        return None
    if np.abs(landmarks).max() <= _FRACTION:
        return _fractions(landmarks, box, size)
    left, turn = map(float, _fit(landmarks))
    if left > _SUSPECT:
        found = _order(landmarks, left, box, size)
        if found or left > _HOPELESS:
            return found or NO_FACE
    elif abs(turn) > _UPRIGHT:
        return UPSIDE_DOWN if abs(turn) > _TURNED else Y_FIRST
    return _place(landmarks, box, size)


def _fit(points: Points) -> tuple[Points, Points]:
    """Fit points (…, 5, 2) to the template; returns (…) each: share of its spread that is left, turn in °."""
    p, q = (points - points.mean(-2, keepdims=True)) @ (1, 1j), _goal()
    product = p.conj() @ q
    spread = (np.abs(p) ** 2).sum(-1) * (np.abs(q) ** 2).sum()
    held = np.abs(product) ** 2 / np.maximum(spread, 1e-12)
    return np.sqrt(np.maximum(0, 1 - held)), np.degrees(np.angle(product))


@cache
def _goal() -> NDArray[np.complex128]:
    found: NDArray[np.complex128] = (template() - template().mean(0)) @ (1, 1j)
    return found


def _order(landmarks: Points, left: float, box: Box | None, size: tuple[int, int]) -> Fault | None:
    """Find the reading of the ten numbers that makes an upright face of them, where one clearly does."""
    height, width = size
    numbers = landmarks.T.reshape(-1)
    changed = {
        INTERLEAVED: numbers.reshape(5, 2),
        TURNS_Y_FIRST: numbers.reshape(5, 2)[:, ::-1],
        Y_FIRST: landmarks[:, ::-1],
        UPSIDE_DOWN: landmarks * (1, -1) + (0, height - 1),
        MIRRORED: landmarks * (-1, 1) + (width - 1, 0),
    }
    readings = np.concatenate([landmarks[_ORDERS], list(changed.values())])
    shares, turns = _fit(readings)
    # A mirrored image and swapped eyes have one shape: the box decides which it is.
    for number in np.flatnonzero(shares < _FITS):
        shares[number] += 0.02 * (not _inside(readings[number], box, size))
    shares[np.abs(turns) > _UPRIGHT] = 1
    best = int(shares.argmin())
    if shares[best] > min(_FITS, left / 2):
        return None
    return _swapped(_ORDERS[best]) if best < len(_ORDERS) else list(changed)[best - len(_ORDERS)]


def _swapped(order: NDArray[np.int64]) -> Fault:
    """Word that the places are in another order than the list's: `order` (5,) puts them right."""
    words = {
        (1, 0, 2, 4, 3): "have left and right swapped, both eyes and mouth",
        (1, 0, 2, 3, 4): "have left and right eye swapped",
        (0, 1, 2, 4, 3): "have the left and right corner of the mouth swapped",
    }.get(tuple(order.tolist()))
    said = ", ".join(_NAMES[place] for place in np.argsort(order))
    return Fault(words or f"are in the order {said}", f"{ORDER}, left and right as in the picture")


def _fractions(landmarks: Points, box: Box | None, size: tuple[int, int]) -> Fault:
    height, width = size
    whole = landmarks * (width, height)
    if box is None or _inside(whole, box, size):
        return FRACTIONS
    x1, y1, x2, y2 = box
    within = (
        (landmarks >= 0).all()
        and (landmarks <= 1).all()
        and _fit(landmarks * (x2 - x1, y2 - y1))[0] < _SUSPECT
    )
    return BOX_FRACTIONS if within and x2 > x1 and y2 > y1 else FRACTIONS


def _place(landmarks: Points, box: Box | None, size: tuple[int, int]) -> Fault | None:
    """Find what is wrong with the place of a face's landmarks."""
    height, width = size
    in_image = _inside(landmarks, None, size)
    if box is None or not _is_box(box, size):
        sides = box is not None and _is_box(_of_sides(box), size) and _inside(landmarks, _of_sides(box), size)
        return OUTSIDE if not in_image else BOX_OF_SIDES if sides else None
    area = (box[2] - box[0]) * (box[3] - box[1])
    scale = _goal_side() * float(np.sqrt(landmarks.var(0).sum() / area))
    if in_image and (scale > _LARGE or _inside(landmarks, box, size)):
        return None if scale > _SMALL else OTHER_SCALE
    readings = [(IN_BOX, landmarks + box[:2], box)]
    if in_image:
        readings += [
            (MIRRORED, landmarks * (-1, 1) + (width - 1, 0), box),
            (UPSIDE_DOWN, landmarks * (1, -1) + (0, height - 1), box),
            (BOX_OF_SIDES, landmarks, _of_sides(box)),
        ]
    found = (problem for problem, points, where in readings if _inside(points, where, size))
    return next(found, BESIDE if in_image else OUTSIDE)


@cache
def _goal_side() -> float:
    """The side of the template's image, in spreads of its landmarks."""
    return 112 / float(np.sqrt(template().var(0).sum()))


def _of_sides(box: Box) -> Box:
    """The box if its last two numbers were width and height."""
    return box[0], box[1], box[0] + box[2], box[1] + box[3]


def _is_box(box: Box, size: tuple[int, int]) -> bool:
    """Whether a box has sides, and at least a quarter of it lies in the image."""
    x1, y1, x2, y2 = box
    shared = min(x2, size[1]) - max(x1, 0), min(y2, size[0]) - max(y1, 0)
    return (
        min(shared) > 0 and shared[0] * shared[1] > 0.25 * (x2 - x1) * (y2 - y1) and min(x2 - x1, y2 - y1) > 4
    )


def _inside(points: Points, box: Box | None, size: tuple[int, int]) -> bool:
    """Whether the middle of the points is in the box, or in the image without one, and most of them are."""
    x1, y1, x2, y2 = box if box is not None else (0, 0, size[1], size[0])
    low, high = np.array([x1, y1]), np.array([x2, y2])
    middle = points.mean(0)
    slack = 0.1 * (high - low)
    held = ((points >= low - slack) & (points <= high + slack)).all(1).sum()
    return bool((middle >= low).all() and (middle <= high).all() and held >= 4)
