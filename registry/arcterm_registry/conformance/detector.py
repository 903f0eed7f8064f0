"""Checks of a face detector, against `contracts.FaceDetector`: with a drawn face, and with nothing.

They need its weights: those of ``path``, or those that it finds on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arcterm_registry.conformance.findings import Skipped, Warned, foundation, require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.contracts import BoxedFaceDetector, Face, FaceDetector
from arcterm_registry.declare import Detector

_NEAR = 1.0  # pixels between a face found alone and among others
_HUGE = 100_000

_Pixels = NDArray[np.uint8]

_SKIN, _DARK = (215, 170, 145), (50, 35, 25)
_OVALS: tuple[tuple[float, float, float, float, tuple[int, int, int], float], ...] = (
    (0, 0.9, 0.9, 0.35, (60, 70, 110), 0.15),  # shoulders
    (0, 0.62, 0.25, 0.3, (185, 140, 115), 0.15),
    (0, -0.12, 0.56, 0.66, _DARK, 0.15),  # hair
    (0, 0.02, 0.47, 0.6, _SKIN, 0.15),
    (0, -0.42, 0.4, 0.14, _DARK, 0.4),
    *(
        oval
        for side in (-1, 1)
        for oval in (
            (side * 0.19, -0.17, 0.12, 0.03, (60, 40, 30), 0.5),  # brow
            (side * 0.19, -0.06, 0.11, 0.065, (190, 140, 120), 0.5),
            (side * 0.19, -0.05, 0.085, 0.04, (235, 230, 225), 0.3),
            (side * 0.19, -0.05, 0.042, 0.042, (40, 30, 25), 0.3),  # pupil
            (side * 0.055, 0.22, 0.035, 0.025, (120, 75, 65), 0.6),
            (side * 0.3, 0.18, 0.1, 0.12, (205, 150, 130), 0.9),  # cheek
        )
    ),
    (0.03, 0.08, 0.03, 0.16, (190, 140, 118), 0.9),  # nose
    (0, 0.2, 0.07, 0.05, (225, 182, 158), 0.9),
    (0, 0.36, 0.16, 0.05, (165, 75, 75), 0.4),  # mouth
    (0, 0.36, 0.14, 0.012, (110, 45, 50), 0.5),
)
"""A face: middle x and y, half width and height (the image is -1 … 1), colour, softness of the edge."""


def draw_face(size: int) -> _Pixels:
    """Return a face from the front, RGB (size, size, 3), which trained detectors find."""
    y, x = np.mgrid[0:size, 0:size] / size * 2 - 1
    image = np.full((size, size, 3), (150.0, 165, 175)) - 30 * y[..., None]
    for middle, height, wide, high, colour, soft in _OVALS:
        far = np.hypot((x - middle) / wide, (y - height) / high)
        covered = np.clip((1 + soft - far) / (2 * soft), 0, 1)[..., None]
        image = image * (1 - covered) + np.array(colour) * covered
    return np.asarray(image.clip(0, 255), np.uint8)


@foundation
def build(subject: Subject) -> str:
    """The factory takes its weights and options and returns a detector."""
    made = _make(subject)
    require(callable(getattr(made, "detect", None)), "it has no detect()", "return a contracts.FaceDetector")
    return type(made).__name__


def nothing(subject: Subject) -> str:
    """No face in black images, however small, and none in no image."""
    images = [np.zeros((height, width, 3), np.uint8) for height, width in ((96, 96), (1, 1), (7, 200))]
    found = _detect(_make(subject), images)
    require(not any(found), f"it finds {sum(map(len, found))} faces in black images", "raise its threshold")
    require(_detect(_make(subject), []) == [], "no images give something", "return a list as long as theirs")
    return "nothing in black"


def faces(subject: Subject) -> str:
    """A drawn face is a `contracts.Face`: shapes, types, score, and left and right as in the picture."""
    [found] = _detect(_make(subject), [draw_face(192)])
    if not found:
        raise Warned("it does not find a drawn face, so little is known of its answers → try photos")
    for face in found:
        _check_face(face)
    x, y = found[0].points.T
    require(
        x[0] < x[1] and x[3] < x[4],
        "its points have left and right of the person, not of the picture",
        "the eye on the picture's left comes first, and likewise the corner of the mouth",
    )
    require(max(y[:2]) < y[2] < min(y[3:]), "its points are not eyes, nose, mouth", "give them in that order")
    scores = [face.score for face in found]
    require(scores == sorted(scores, reverse=True), "its faces are in no order", "give the best first")
    return f"{len(found)} in a drawn face, score {scores[0]:.3f}"


def together(subject: Subject) -> str:
    """Images of three sizes in one call give the faces of one call each, and stay as they were."""
    images = [draw_face(128), np.pad(draw_face(192), ((20, 80), (70, 10), (0, 0))), draw_face(301)[:, ::-1]]
    images = [np.ascontiguousarray(image) for image in images]
    before = [image.copy() for image in images]
    made = _make(subject)
    found = _detect(made, images)
    for given, image in zip(before, images, strict=True):
        require(np.array_equal(given, image), "it alters the images", "work on copies")
    for image, some in zip(images, found, strict=True):
        [alone] = _detect(made, [image])
        near = len(alone) == len(some) and all(
            np.abs(a.box - b.box).max() <= _NEAR and np.abs(a.points - b.points).max() <= _NEAR
            for a, b in zip(alone, some, strict=True)
        )
        require(near, "images looked at together have other faces than alone", "keep images apart")
    return f"{sum(map(len, found))} faces of 3 images"


def smallest(subject: Subject) -> str:
    """Of an image whose smallest face is said to be huge, no face is given."""
    found = _make(subject).detect([draw_face(128), draw_face(128)], [20, _HUGE])
    require(not found[1], f"faces below {_HUGE} pixels are given", "heed `smallest`, a side for each image")
    return "heeded"


def refined(subject: Subject) -> str:
    """A face whose box is given is found there, if the detector can do that."""
    made = _make(subject)
    if not isinstance(made, BoxedFaceDetector):
        return "it takes no boxes"
    image = draw_face(192)
    face = made.refine(image, np.array([52.0, 50, 140, 160]))
    require(face is not None, "refine() finds no face in a drawn one's box", "give it whatever its score")
    assert face is not None
    _check_face(face)
    beyond = made.refine(image, np.array([5000.0, 5000, 5100, 5100]))
    require(beyond is None or isinstance(beyond, Face), "refine() outside gives no Face", "return None")
    return f"score {face.score:.3f}"


def options(subject: Subject) -> str:
    """Each option at its choices and bounds builds, and gives faces as they should be."""
    changes = subject.variations()
    for change in changes:
        made = subject.factory()(_weights(subject), **subject.settings(**change))
        for face in _detect(made, [draw_face(96)])[0]:
            _check_face(face)
    return f"{len(changes)} variations"


def _check_face(face: Face) -> None:
    for name, shape in (("box", (4,)), ("points", (5, 2))):
        array: Any = getattr(face, name, None)
        good = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.shape == shape
        require(good, f"a face's {name} is {_describe(array)}", f"give a float64 array {shape}")
        require(np.isfinite(array).all(), f"a face's {name} is not finite", "leave such a face out")
    require(isinstance(face.score, float) and 0 <= face.score <= 1, f"a score is {face.score!r}", "give 0..1")
    wide, high = face.box[2:] - face.box[:2]
    require(wide > 0 and high > 0, f"a box is {face.box.tolist()}", "give x1, y1, x2, y2")


def _describe(array: Any) -> str:
    shown = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
    return shown[:80]


def _detect(made: FaceDetector, images: list[_Pixels]) -> list[list[Face]]:
    found = made.detect(images)
    require(
        isinstance(found, list) and len(found) == len(images) and all(isinstance(f, list) for f in found),
        f"detect() of {len(images)} images gives {type(found).__name__}",
        "return a list of faces for each image, in a list",
    )
    return found


def _weights(subject: Subject) -> str:
    declared = subject.declaration
    assert isinstance(declared, Detector)
    given = subject.options.get("path") or declared.find_weights()
    if given is None:
        raise Skipped(f"its weights are not here: {declared.advice or 'it does not say what to get'}")
    return str(given)


def _make(subject: Subject) -> FaceDetector:
    made: FaceDetector = subject.factory()(_weights(subject), **subject.settings())
    return made


CHECKS: tuple[Callable[[Subject], str], ...] = (
    build,
    nothing,
    faces,
    together,
    smallest,
    refined,
    options,
)
