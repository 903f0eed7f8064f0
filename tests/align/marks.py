"""A detector of magenta rectangles, each of which is a face with its points at the template's places."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from arcterm_registry import Detector, Option
from arcterm_registry.contracts import Face

PLACES = np.array([[0.342, 0.462], [0.657, 0.460], [0.5, 0.641], [0.371, 0.825], [0.632, 0.823]])
COLOUR = (200, 0, 200)


def face(box, score):
    """A face that fills `box`."""
    box = np.asarray(box, np.float64)
    return Face(box, box[:2] + PLACES * (box[2:] - box[:2]), score)


class Marks:
    """Finds rectangles as wide as `minsize` or more, larger ones with better scores."""

    asked: ClassVar[list] = []

    def __init__(self, weights, minsize, **others):
        self.minsize = minsize
        self.others = others
        Marks.made = [weights, minsize, others]

    def detect(self, images, smallest=None):
        Marks.asked.append((len(images), None if smallest is None else list(smallest)))
        return [
            self.find(image, self.minsize if smallest is None else smallest[n])
            for n, image in enumerate(images)
        ]

    def find(self, image, least):
        if tuple(image[0, 0]) == (1, 2, 3):
            raise RuntimeError("the author's mistake")
        near = (np.abs(image.astype(int) - COLOUR).max(2) < 60).astype(np.uint8)
        count, _, stats, _ = cv2.connectedComponentsWithStats(near)
        boxes = sorted((row[:4].tolist() for row in stats[1:count]), key=lambda row: -row[2])
        return [
            face([x, y, x + w, y + h], min(0.5 + w / 1000, 1)) for x, y, w, h in boxes if w >= max(least, 3)
        ]


class BoxedMarks(Marks):
    """Sees a face in a box whose middle is not black, with the score of its red."""

    def refine(self, image, box):
        x, y = ((box[:2] + box[2:]) / 2).astype(int)
        return face(box, image[y, x, 0] / 255) if image[y, x].any() else None


def find_weights():
    """Weights that are here."""
    return "/weights"


_OPTIONS = (
    Option(name="minsize", type=int, default=6, low=1, high=1000, help="Side of the smallest face"),
    Option(name="factor", type=float, default=0.5, low=0, high=1, help="Of the pyramid"),
)
marks = Detector(summary="marks", factory="tests.align.marks:Marks", options=_OPTIONS)
boxed = Detector(summary="marks in boxes", factory="tests.align.marks:BoxedMarks", options=_OPTIONS, batch=4)
absent = Detector(
    summary="no weights",
    factory="tests.align.marks:Marks",
    find="tests.align.marks:nothing",
    advice="get some",
)
here = Detector(summary="weights", factory="tests.align.marks:Marks", find="tests.align.marks:find_weights")
DECLARED = {"marks": marks, "boxed": boxed}


def nothing():
    """No weights."""
    return None
