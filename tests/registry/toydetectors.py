"""Face detectors that are wrong in one way each, and the sound one that they are made from."""

from __future__ import annotations

import numpy as np
from arcterm_registry import Detector, Option
from arcterm_registry.contracts import Face

POINTS = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])


class Sound:
    """Two faces in the middle of every image that shows anything, one within the other."""

    def __init__(self, weights, share=0.5):
        self.share = share

    def detect(self, images, smallest=None):
        least = [0] * len(images) if smallest is None else smallest
        return [self.find(image, side) for image, side in zip(images, least, strict=True)]

    def find(self, image, smallest):
        if image.min() == image.max():
            return []
        sides = [self.share * min(image.shape[:2]), 0.5 * self.share * min(image.shape[:2])]
        return [self.face(image, side, side / 1000) for side in sides if side >= smallest]

    def face(self, image, side, score):
        corner = np.array([image.shape[1], image.shape[0]]) / 2 - side / 2
        return Face(np.concatenate([corner, corner + side]), corner + POINTS * side, score)

    def refine(self, image, box):
        side = float(box[2] - box[0])
        return Face(np.array(box), box[:2] + POINTS * side, 0.5)


class Deaf:
    def __init__(self, weights, **_):
        pass


class SeesInTheDark(Sound):
    def find(self, image, smallest):
        return [self.face(image, 20.0, 0.5)] if smallest < 100 else []


class Mirrored(Sound):
    def face(self, image, side, score):
        face = super().face(image, side, score)
        return face._replace(points=face.points[[1, 0, 2, 4, 3]])


class Coarse(Sound):
    def face(self, image, side, score):
        face = super().face(image, side, score)
        return face._replace(box=face.box.astype(np.float32))


class WorstFirst(Sound):
    def find(self, image, smallest):
        return super().find(image, smallest)[::-1]


class Percent(Sound):
    def face(self, image, side, score):
        return super().face(image, side, 100 * score)


class Blind(Sound):
    def find(self, image, smallest):
        return []


class Scribbler(Sound):
    def find(self, image, smallest):
        found = super().find(image, smallest)
        image[:5] = 7
        return found


class Mixing(Sound):
    def detect(self, images, smallest=None):
        found = super().detect(images, smallest)
        return found[-1:] + found[:-1] if smallest is None else found


class Eager(Sound):
    def find(self, image, smallest):
        return super().find(image, 0)


class Unsure(Sound):
    def refine(self, image, box):
        return None


class Inverted(Sound):
    def find(self, image, smallest):
        found = super().find(image, smallest)
        return [face._replace(box=face.box[[2, 3, 0, 1]]) for face in found] if self.share == 1 else found


def declare(factory, **facts):
    share = Option(name="share", type=float, default=0.5, low=0.1, high=1, help="of the image")
    return Detector(
        summary="a toy", factory=f"tests.registry.toydetectors:{factory}", options=(share,), **facts
    )


def no_weights():
    return None


DETECTORS = {
    "no detect": ("build", "failed", "has no detect()", declare("Deaf")),
    "sees in the dark": ("nothing", "failed", "faces in black images", declare("SeesInTheDark")),
    "left is right": ("faces", "failed", "left and right of the person", declare("Mirrored")),
    "worst first": ("faces", "failed", "in no order", declare("WorstFirst")),
    "blind": ("faces", "warning", "does not find a drawn face", declare("Blind")),
    "alters": ("together", "failed", "alters the images", declare("Scribbler")),
    "mixes": ("together", "failed", "other faces than alone", declare("Mixing")),
    "all sizes": ("smallest", "failed", "heed `smallest`", declare("Eager")),
    "unsure": ("refined", "failed", "finds no face", declare("Unsure")),
    "inverted at a bound": ("options", "failed", "a box is", declare("Inverted")),
}
WRONG_FACES = {"float32": ("Coarse", "float32 (4,)"), "percent": ("Percent", "give 0..1")}
"""Faces that several checks look at."""
