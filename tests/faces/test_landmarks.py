"""Landmarks that can't be what a list says they are, and faces of all kinds that can."""

from __future__ import annotations

import numpy as np
import pytest

from arcterm.faces import landmarks as marks
from arcterm.faces.landmarks import judge
from arcterm.faces.similarity import TEMPLATE

HEIGHT, WIDTH = 260, 300
SIZE = (HEIGHT, WIDTH)


def face(number, *, wide=1.0):
    """Landmarks of a face, turned, scaled, wobbled and narrowed as real ones are, and its box."""
    draw = np.random.default_rng(number)
    scale, angle = draw.uniform(0.5, 0.9), draw.uniform(-0.4, 0.4)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    points = (
        (np.array(TEMPLATE) - 56 + draw.normal(0, 1.5, (5, 2))) * (wide * draw.uniform(0.7, 1), 1)
    ) @ turn.T
    middle = np.array([draw.uniform(55, 90), draw.uniform(55, 80)])
    side = 42 * scale
    x1, y1, x2, y2 = (int(v) for v in (*(middle - side), *(middle + side * 1.1)))
    return points + middle, (x1, y1, x2, y2)


def turns(points):
    return points.reshape(-1).reshape(2, 5).T


def mirrored(points):
    return points * (-1, 1) + (WIDTH - 1, 0)


def upside_down(points):
    return points * (1, -1) + (0, HEIGHT - 1)


SWAPPED = [1, 0, 2, 4, 3]
READINGS = {
    "interleaved": (lambda p, b: turns(p), "are x and y by turns"),
    "y and x by turns": (lambda p, b: turns(p[:, ::-1]), "are y and x by turns"),
    "y first": (lambda p, b: p[:, ::-1], "have y before x"),
    "left and right swapped": (lambda p, b: p[SWAPPED], "have left and right swapped, both eyes and mouth"),
    "eyes swapped": (lambda p, b: p[[1, 0, 2, 3, 4]], "have left and right eye swapped"),
    "mouth swapped": (lambda p, b: p[[0, 1, 2, 4, 3]], "have the left and right corner of the mouth swapped"),
    "nose first": (
        lambda p, b: p[[2, 0, 1, 3, 4]],
        "are in the order nose, left eye, right eye, left corner of",
    ),
    "fractions": (lambda p, b: p / (WIDTH, HEIGHT), "are fractions of the image"),
    "fractions of the box": (
        lambda p, b: (p - b[:2]) / (b[2] - b[0], b[3] - b[1]),
        "are fractions of the box",
    ),
    "from the box": (lambda p, b: p - b[:2], "count from the box's corner"),
    "mirrored": (lambda p, b: mirrored(p), "are those of the mirrored image"),
    "mirrored and sorted": (lambda p, b: mirrored(p)[SWAPPED], "are those of the mirrored image"),
    "upside down": (lambda p, b: upside_down(p), "are upside down"),
    "upside down and sorted": (lambda p, b: upside_down(p)[SWAPPED], "are upside down"),
    "of an image of 4 times the size": (lambda p, b: p * 4, "lie outside of the image"),
    "elsewhere": (lambda p, b: p + np.array([110, 60]), "lie outside of their box"),
    "much larger than their box": (
        lambda p, b: (p - p.mean(0)) * 0.1 + p.mean(0),
        "are of another size than",
    ),
    "a box of sides": (lambda p, b: p, "lie outside of their box, which looks like x y width height"),
    "no face": (
        lambda p, b: np.array([[20, 20], [9, 9], [30, 60], [9, 21], [60, 8]]) + b[0],
        "are not like a face",
    ),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_wrong_reading_is_named(name):
    change, words = READINGS[name]
    said = []
    for number in range(30):
        points, box = face(number)
        if name == "a box of sides":
            box = (*box[:2], box[2] - box[0], box[3] - box[1])
        problem = judge(change(points, box), box, SIZE)
        said.append(problem.words if problem else "")
    assert sum(each.startswith(words) for each in said) >= 24, said


@pytest.mark.parametrize("wide", [1.0, 0.5, 0.15])  # from the front, half turned away, in profile
@pytest.mark.parametrize("box", ["its own", "none", "of nothing", "in a corner"])
def test_faces_as_they_are_pass_without_a_word(wide, box):
    for number in range(100):
        points, own = face(number, wide=wide)
        given = {"its own": own, "none": None, "of nothing": (0, 0, 0, 0), "in a corner": (0, 0, 9, 9)}[box]
        assert judge(points, given, SIZE) is None
        assert judge(points + 1, given, SIZE) is None


def test_every_problem_says_how_to_mend_the_list():
    problems = [each for each in vars(marks).values() if isinstance(each, marks.Fault)]
    assert len(problems) == 13
    assert all(problem.words and problem.hint for problem in problems)


def test_an_image_too_small_to_tell_fractions_from_pixels_is_passed():
    assert judge(np.array(TEMPLATE) / 100, (0, 0, 1, 1), (2, 2)) is None
