"""Draws a person's head as coloured shapes in space, back to front.

Coordinates are those of `traits`; a head is a disc in the plane z = 0 with a bulging face before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from arcterm.datasets.drawn.traits import Numbers

Points = NDArray[np.float64]
Colour = NDArray[np.float64]
Outline = list[tuple[float, float]]

_SKIN = ((252, 224, 204), (234, 190, 156), (198, 142, 104), (142, 94, 68), (92, 60, 46))
_HAIR = ((26, 22, 24), (66, 42, 30), (120, 70, 36), (176, 120, 60), (222, 190, 130), (170, 168, 170))
_IRIS = ((60, 38, 22), (110, 74, 36), (92, 112, 62), (82, 128, 168), (120, 140, 150))
_EYE_WHITE, _PUPIL, _THROAT, _LIPSTICK = np.array(
    [(238.0, 236.0, 232.0), (12.0, 10.0, 12.0), (70.0, 25.0, 28.0), (190.0, 60.0, 70.0)]
)

_ACROSS = np.linspace(-1, 1, 9)
_SWELL = 1 - _ACROSS**2
_ROUND = np.linspace(0, 2 * np.pi, 14, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_ROUND), np.sin(_ROUND)])
_LID = np.column_stack([_ACROSS, -_SWELL])
_ALMOND = np.concatenate([_LID, np.column_stack([_ACROSS, 0.7 * _SWELL])[::-1]])


class Shape(NamedTuple):
    """Points in space (N, 3): a filled polygon, or with `thickness` a line; `colour` is RGB 0 … 255."""

    points: Points
    colour: Colour
    thickness: float = 0.0


class HeadShape:
    """A person, traits `face`, under the circumstances `view`."""

    def __init__(self, face: Numbers, view: Numbers) -> None:
        self.face, self.view = face, view
        self.skin = _blend(_SKIN, face["tone"]) + face["warmth"] * np.array([6, 0, -10])
        self.hair = _blend(_HAIR, face["hair_shade"])

    def shapes(self) -> Iterator[Shape]:
        """Everything, back to front."""
        yield from self._behind()
        yield from self._front()
        for side in (-1, 1):
            yield from self._eye(side)
        yield from self._nose()
        yield from self._mouth()
        yield self._fringe()

    def _behind(self) -> Iterator[Shape]:
        """The hair at the back, the neck, the ears."""
        face = self.face
        around, bottom = face["face_width"] + face["hair_side"], face["hair_length"]
        crown = _superellipse(around, 1.0 + face["hair_top"], 2.3)[25:]
        ends = [
            (around, bottom),
            (0.75 * around, bottom + 0.12),
            (-0.75 * around, bottom + 0.12),
            (-around, bottom),
        ]
        yield Shape(_flat(np.concatenate([crown, ends]), -0.2), self.hair)
        yield Shape(_flat([(-0.36, 0.5), (0.36, 0.5), (0.42, 1.4), (-0.42, 1.4)], -0.2), 0.82 * self.skin)
        for side in (-1, 1):
            centre = side * (face["face_width"] + 0.3 * face["ear"]), -0.05
            yield Shape(_flat(_CIRCLE * (face["ear"], 0.19) + centre, -0.05), 0.9 * self.skin)

    def _front(self) -> Iterator[Shape]:
        """A round forehead over a jaw that narrows to the chin; a beard; a birthmark."""
        face = self.face
        width = face["face_width"]
        upper, lower = (
            _superellipse(width, 1.0, face["forehead"])[25:],
            _superellipse(width, 1.0, face["chin"])[:25],
        )
        lower[:, 0] *= 1 - 0.75 * (1 - face["jaw_width"]) * lower[:, 1] ** 1.5
        yield Shape(_flat(np.concatenate([upper, lower]), 0.0), self.skin)
        if face["beard"] > 0:
            cheeks = [(-0.5 * width, 0.42), (0.0, 0.36), (0.5 * width, 0.42)]
            chin = 0.98 * lower[lower[:, 1] > 0.3]
            yield Shape(_flat(np.concatenate([chin, cheeks]), 0.0), _mix(self.skin, self.hair, face["beard"]))
        if face["spot_size"] > 0:
            spot = _CIRCLE * face["spot_size"] + (face["spot_x"], face["spot_y"])
            yield Shape(self._surface(spot), 0.5 * self.skin)

    def _eye(self, side: int) -> Iterator[Shape]:
        """One eye and its brow; `side` is -1 or 1."""
        face, view = self.face, self.view
        x, y, width = side * face["eye_gap"], face["eye_y"], face["eye_width"]
        height = width * face["eye_height"] * (1 - view["squint"])
        tilt = _tilt(-side * face["eye_tilt"])
        yield Shape(self._surface(_ALMOND * (1.25 * width, 1.5 * height) @ tilt + (x, y)), 0.8 * self.skin)
        yield Shape(self._surface(_ALMOND * (width, height) @ tilt + (x, y)), _EYE_WHITE)
        radius = 0.62 * width * face["iris_size"]
        look = x + view["gaze"] * (width - radius), y
        for share, colour in ((1.0, _blend(_IRIS, face["iris_shade"])), (0.45, _PUPIL)):
            disc = _CIRCLE * (share * radius, min(share * radius, height)) + look
            yield Shape(self._surface(disc), colour)
        yield Shape(self._surface(_LID * (width, height) @ tilt + (x, y)), 0.25 * self.skin, 0.022)
        brow = _LID * (face["brow_width"] * width, face["brow_arch"]) @ _tilt(-side * face["brow_tilt"])
        above = x, y - face["brow_gap"] - view["brows_up"]
        yield Shape(self._surface(brow + above), 0.8 * self.hair, face["brow_thick"])

    def _nose(self) -> Iterator[Shape]:
        """A bridge and a tip that stand out, nostrils."""
        face = self.face
        top, tip, width = face["eye_y"] + 0.05, face["eye_y"] + face["nose_length"], face["nose_width"]
        wings = [(-0.3 * width, top), (0.3 * width, top), (width, tip), (0.0, tip + 0.06), (-width, tip)]
        yield Shape(self._surface(wings, 0.14), (0.92 - 0.2 * face["nose_bridge"]) * self.skin)
        ridge = [
            (-0.12 * width, top),
            (0.12 * width, top),
            (0.5 * width, tip - 0.02),
            (-0.5 * width, tip - 0.02),
        ]
        yield Shape(self._surface(ridge, 0.18), 1.05 * self.skin)
        for side in (-1, 1):
            nostril = _CIRCLE * (0.25 * width, 0.022) + (side * 0.5 * width, tip + 0.015)
            yield Shape(self._surface(nostril, 0.12), 0.35 * self.skin)

    def _mouth(self) -> Iterator[Shape]:
        """Lips, drawn up by a smile, with what an open mouth shows."""
        face, view = self.face, self.view
        width, gap = face["mouth_width"] + 0.5 * max(view["smile"], 0), max(view["open"], 0)
        middle = face["mouth_y"] - (face["mouth_corner"] + view["smile"]) * _ACROSS**2
        red = _mix(0.78 * self.skin, _LIPSTICK, 0.25 + 0.6 * face["lip_red"])

        def edge(drop: float) -> Points:
            return np.column_stack([width * _ACROSS, middle + drop * _SWELL])

        seam = edge(0.0)
        yield Shape(self._surface(np.concatenate([edge(-face["lip_upper"]), seam[::-1]])), 0.88 * red)
        yield Shape(self._surface(np.concatenate([seam, edge(face["lip_lower"] + gap)[::-1]])), red)
        if gap:
            yield Shape(self._surface(np.concatenate([seam, edge(gap)[::-1]])), _THROAT)
        yield Shape(self._surface(seam), 0.4 * red, 0.016)

    def _fringe(self) -> Shape:
        """Hair over the forehead, parted somewhere."""
        face = self.face
        around = face["face_width"] + 0.3 * face["hair_side"]
        crown = _superellipse(around, 0.97 + face["hair_top"], 2.3)[25:]
        low, part = face["fringe"], face["parting"]
        inner = 0.08 + low
        right, left = 0.55 * around * (1 + part), 0.55 * around * (part - 1)
        hem = [(around, -0.35 - 0.2 * part), (right, inner), (part * around, low - 0.16), (left, inner)]
        hem.append((-around, -0.35 + 0.2 * part))
        return Shape(_flat(np.concatenate([crown, hem]), 0.0), 0.92 * self.hair)

    def _surface(self, points: Points | Outline, lift: float = 0.0) -> Points:
        """Points (N, 2) on the bulge of the face, or `lift` before it."""
        flat = np.asarray(points, np.float64)
        bulge = 1 - (flat[:, 0] / (1.02 * self.face["face_width"])) ** 2 - (flat[:, 1] / 1.2) ** 2
        return np.column_stack([flat, 0.62 * np.sqrt(np.maximum(bulge, 0)) + lift])


def _flat(points: Points | Outline, depth: float) -> Points:
    """Points (N, 2) in the plane z = `depth`."""
    flat = np.asarray(points, np.float64)
    return np.column_stack([flat, np.full(len(flat), depth)])


_ANGLES = np.concatenate([np.linspace(0, np.pi, 25), np.linspace(np.pi, 2 * np.pi, 25)])
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)


def _superellipse(a: float, b: float, power: float) -> Points:
    """Half axes `a`, `b`: 25 points of the lower half, then 25 of the upper (y is down)."""
    x = np.copysign(np.abs(_COS) ** (2 / power), _COS)
    y = np.copysign(np.abs(_SIN) ** (2 / power), _SIN)
    return np.column_stack([a * x, b * y])


def _tilt(angle: float) -> Points:
    """The matrix that turns row vectors by `angle`, clockwise as y is down."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s], [-s, c]])


def _blend(palette: tuple[tuple[int, int, int], ...], position: float) -> Colour:
    """The colour at 0 … 1 along a palette."""
    step = position * (len(palette) - 1)
    first = min(int(step), len(palette) - 2)
    return _mix(np.array(palette[first]), np.array(palette[first + 1]), step - first)


def _mix(a: Colour | NDArray[np.int_], b: Colour | NDArray[np.int_], share: float) -> Colour:
    return cast(Colour, (1 - share) * a + share * b)
