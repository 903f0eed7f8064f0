"""Takes a picture of a drawn head: a turn of the head, a scene, then light, lens and sensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from arcterm.datasets.drawn.portrait import Colour, HeadShape, Points, Shape
from arcterm.datasets.drawn.traits import Numbers
from arcterm.formats.images import Pixels

SIDE = 112
_CANVAS = 2 * SIDE
_SCALE = 0.42 * _CANVAS
_FRACTION = 4  # bits after the point in fillPoly's coordinates


def picture(face: Numbers, view: Numbers, rng: np.random.Generator) -> Pixels:
    """A picture, uint8 RGB (112, 112, 3), of a person with traits `face` under circumstances `view`."""
    canvas = _scene(rng)
    _paint(canvas, list(HeadShape(face, view).shapes()), view)
    return _expose(canvas, view, rng)


def _scene(rng: np.random.Generator) -> Pixels:
    """A background of two gradients and a few blots, (224, 224, 3)."""
    grey = rng.uniform(30, 225)
    corners = (0.4 * grey + 0.6 * rng.uniform(20, 235, (2, 2, 3))).astype(np.float32)
    canvas = cv2.resize(corners, (_CANVAS, _CANVAS)).astype(np.uint8)
    for x, y, radius, *colour in rng.uniform(0, 1, (5, 6)):
        centre = (int(x * _CANVAS), int(y * _CANVAS))
        shade = _bytes(0.3 * grey + 0.7 * 235 * np.array(colour))
        cv2.circle(canvas, centre, int(12 + 50 * radius), shade, -1, cv2.LINE_AA)
    cloth = np.array([(-1.2, 1.0), (-0.6, 0.72), (0.6, 0.72), (1.2, 1.0)]) * _CANVAS / 2 + _CANVAS / 2
    cv2.fillPoly(canvas, [cloth.astype(np.int32)], _bytes(rng.uniform(20, 230, 3)), cv2.LINE_AA)
    return cast(Pixels, canvas)


def _paint(canvas: Pixels, shapes: Sequence[Shape], view: Numbers) -> None:
    """Turn the shapes with the head and draw them in order."""
    zoom = 1 + view["zoom"]
    turn = _rotation(view["yaw"], view["pitch"], view["roll"])
    shift = np.array([view["shift_x"], view["shift_y"] + 0.08])
    turned = np.concatenate([shape.points for shape in shapes]) @ turn.T
    placed = (turned[:, :2] * zoom + shift) * _SCALE + _CANVAS / 2
    fixed = np.round(placed * (1 << _FRACTION)).astype(np.int32)
    start = 0
    for points, colour, thickness in shapes:
        part = [fixed[start : start + len(points)]]
        start += len(points)
        if thickness:
            width = max(1, round(thickness * _SCALE * zoom))
            cv2.polylines(canvas, part, False, _bytes(colour), width, cv2.LINE_AA, _FRACTION)
        else:
            cv2.fillPoly(canvas, part, _bytes(colour), cv2.LINE_AA, _FRACTION)


def _expose(canvas: Pixels, view: Numbers, rng: np.random.Generator) -> Pixels:
    """Light from a side, exposure, contrast, colour, blur and noise, at half the size."""
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    ramp = np.linspace(-1, 1, SIDE, dtype=np.float32)
    light = 1 + view["light_x"] * ramp[None, :, None] + view["light_y"] * ramp[:, None, None]
    gain = np.exp2(view["exposure"] + np.array([view["red"], 0.0, view["blue"]])) / 255
    lit = np.clip(small * np.clip(light, 0.25, 2.0) * gain.astype(np.float32), 0, 1)
    cv2.pow(lit, 2 ** view["contrast"], lit)
    if view["blur"] > 0.3:
        lit = cv2.GaussianBlur(lit, (0, 0), view["blur"])
    noise = rng.standard_normal(lit.shape, np.float32) * np.float32(view["noise"])
    return cast(Pixels, np.clip(255 * lit + noise + 0.5, 0, 255).astype(np.uint8))


def _rotation(yaw: float, pitch: float, roll: float) -> Points:
    """The head's turn, (3, 3): about the vertical, the horizontal, then in the picture's plane."""
    (cy, cp, cr), (sy, sp, sr) = np.cos([yaw, pitch, roll]), np.sin([yaw, pitch, roll])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return cast(NDArray[np.float64], about_z @ about_x @ about_y)


def _bytes(colour: Colour) -> list[int]:
    return [min(max(int(value), 0), 255) for value in colour.tolist()]
