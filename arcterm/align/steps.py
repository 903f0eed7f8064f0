"""The steps of a preset: each makes aligned faces of the photos that no step before it could do.

The choice among several faces, the crops and the numbers are those of InsightFace's scripts of 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from arcterm_registry.contracts import Face
from numpy.typing import NDArray

from arcterm.align.detection import Detectors
from arcterm.align.guides import Guide
from arcterm.align.presets import Preset, Step
from arcterm.errors import DataError
from arcterm.faces import similarity
from arcterm.formats.images import Pixels

Which = Literal["one", "all"]
Array = NDArray[np.float64]

_CENTRING = 2.0
_LEAST_OVERLAP = 0.3
_LEAST_FORCED = 0.3
_LFW_INSET, _INSET = 0.0625, 0.06
_WIDER = 1.5
"""Enlargement of the template in the image, of twice the side, in which MegaFace's faces are looked for."""


@dataclass
class Photo:
    """A decoded photo, what is known of it, and what the steps have made of it.

    `faces` are those that were found, of which `made` has the aligned one, or all, by its place in `faces`; a
    crop has no face and stands at -1. `treated` names the step that made it, and `reason` says why earlier
    ones did not.
    """

    name: str
    pixels: Pixels
    guide: Guide = field(default_factory=Guide)
    faces: list[Face] = field(default_factory=list)
    made: dict[int, Pixels] = field(default_factory=dict)
    treated: str = ""
    reason: str = ""


class Aligner:
    """Takes photos through the steps of a preset, several at a time, from several threads.

    `size` is (height, width) of an aligned face; `which` are the faces of a photo that are wanted.
    """

    def __init__(
        self, preset: Preset, detectors: Detectors, size: tuple[int, int], which: Which = "one"
    ) -> None:
        self.preset, self.size, self.which = preset, size, which
        self.batch = detectors.batch
        self._detectors = detectors
        self._free_size = "minsize" not in detectors.choice.options
        steps: dict[Step, Callable[[list[Photo]], None]] = {
            "pre-aligned": self._pre_align,
            "detected": self._detect,
            "nearest": self._detect_nearest,
            "forced": self._force,
            "box crop": self._crop_box,
            "centre crop": self._crop_centre,
            "inset crop": self._crop_inset,
        }
        self._steps = [steps[name] for name in preset.steps if name != "forced" or detectors.refines]

    def align(self, photos: Sequence[Photo]) -> None:
        """Fill in `made`, `treated` and `reason` of each photo."""
        for step in self._steps:
            if left := [photo for photo in photos if not photo.treated]:
                step(left)
        for photo in photos:
            if not photo.treated:
                photo.treated = "dropped"
                photo.reason = photo.reason or "no face was found"

    def _detect(self, photos: list[Photo]) -> None:
        """The face that is large and near the middle, or all faces."""
        for photo in self._look(photos):
            if self.which == "all":
                for number in range(len(photo.faces)):
                    self._take(photo, number, "detected")
            elif photo.faces:
                self._take(photo, choose(photo.faces, photo.pixels.shape[:2]), "detected")

    def _detect_nearest(self, photos: list[Photo]) -> None:
        """The face that shares most with the known box."""
        boxed = [photo for photo in photos if photo.guide.box is not None]
        for photo in self._look(boxed):
            assert photo.guide.box is not None
            overlaps = [overlap(photo.guide.box, face.box) for face in photo.faces]
            if overlaps and max(overlaps) > _LEAST_OVERLAP:
                self._take(photo, int(np.argmax(overlaps)), "detected")
            elif photo.faces:
                photo.reason = "no face that was found is where the box is"

    def _look(self, photos: list[Photo]) -> list[Photo]:
        """Detect; returns `photos`, with their faces and, where there are none, that reason."""
        if not photos:
            return photos
        smallest = None
        if self.preset.smallest is not None and self._free_size:
            smallest = [self.preset.smallest(*photo.pixels.shape[:2]) for photo in photos]
        for photo, faces in zip(
            photos, self._detectors.detect([photo.pixels for photo in photos], smallest), strict=True
        ):
            photo.faces = list(faces)
            photo.reason = "" if faces else "no face was found"
        return photos

    def _pre_align(self, photos: list[Photo]) -> None:
        """The first face of a larger image that known eyes and nose were brought to their places in."""
        side = self.size[0]
        size, goals = (2 * side, 2 * side), _WIDER * similarity.template(self.size)[:3] + side / 4
        known, wide, back = [], [], []
        for photo in photos:
            if photo.guide.three is None:
                continue
            try:
                matrix = similarity.fit(photo.guide.three, goals, photo.name)
                wide.append(similarity.transform(photo.pixels, matrix, size, photo.name))
            except DataError as error:
                photo.reason = error.message
                continue
            known.append(photo)
            back.append(matrix)
        found = self._detectors.detect(wide, [side] * len(wide) if self._free_size else None) if wide else []
        for photo, pixels, matrix, faces in zip(known, wide, back, found, strict=True):
            if faces:
                photo.faces = [_moved_back(face, matrix) for face in faces]
                self._warp(photo, 0, pixels, faces[0].points, "pre-aligned")

    def _force(self, photos: list[Photo]) -> None:
        """The face that the detector's later networks see in the known box."""
        for photo in photos:
            if photo.guide.box is None:
                continue
            face = self._detectors.refine(photo.pixels, photo.guide.box)
            if face is not None and face.score >= _LEAST_FORCED:
                photo.faces.append(face)
                self._take(photo, len(photo.faces) - 1, "forced")

    def _crop_box(self, photos: list[Photo]) -> None:
        """The known box, made as wide as it is high."""
        for photo in photos:
            if photo.guide.box is None:
                continue
            x1, y1, x2, y2 = (int(edge) for edge in photo.guide.box)
            side = y2 - y1
            left = max(0, x1 + (x2 - x1 - side) // 2)
            self._crop(photo, (left, y1, left + side, y2), 0, "box crop")

    def _crop_centre(self, photos: list[Photo]) -> None:
        for photo in photos:
            self._crop(photo, _inset(photo.pixels, _LFW_INSET), similarity.MARGIN, "centre crop")

    def _crop_inset(self, photos: list[Photo]) -> None:
        for photo in photos:
            self._crop(photo, _inset(photo.pixels, _INSET), 0, "centre crop")

    def _crop(self, photo: Photo, box: tuple[int, int, int, int], margin: int, treated: str) -> None:
        try:
            photo.made[-1] = similarity.crop(photo.pixels, box, self.size, margin, photo.name)
        except DataError as error:
            photo.reason = error.message
        else:
            photo.treated = treated

    def _take(self, photo: Photo, number: int, treated: str) -> None:
        self._warp(photo, number, photo.pixels, photo.faces[number].points, treated)

    def _warp(self, photo: Photo, number: int, pixels: Pixels, points: Array, treated: str) -> None:
        try:
            photo.made[number] = similarity.warp(pixels, points, self.size, photo.name)
        except DataError as error:
            photo.reason = error.message
        else:
            photo.treated = treated


def choose(faces: Sequence[Face], size: tuple[int, ...]) -> int:
    """The face for which area - 2 d² is largest, d its centre's distance from that of (height, width)."""
    if len(faces) == 1:
        return 0
    boxes = np.array([face.box for face in faces])
    centre = np.array([size[1], size[0]]) / 2
    offset = (boxes[:, :2] + boxes[:, 2:]) / 2 - centre
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return int(np.argmax(area - _CENTRING * (offset**2).sum(1)))


def overlap(a: Array, b: Array) -> float:
    """Intersection over union of two boxes (4,), 0..1."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if (sides <= 0).any():
        return 0.0
    shared = float(sides.prod())
    return shared / float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared)


def _inset(pixels: Pixels, share: float) -> tuple[int, int, int, int]:
    """The image less `share` of its sides all around."""
    height, width = pixels.shape[:2]
    left, top = int(width * share), int(height * share)
    return left, top, width - left, height - top


def _moved_back(face: Face, matrix: Array) -> Face:
    """A face of an image that was moved by `matrix` (2, 3), in the original's pixels."""
    inverse = np.linalg.inv(matrix[:, :2])
    x1, y1, x2, y2 = face.box
    corners = (np.array([[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) - matrix[:, 2]) @ inverse.T
    box = np.concatenate([corners.min(0), corners.max(0)])
    return Face(box, (face.points - matrix[:, 2]) @ inverse.T, face.score)
