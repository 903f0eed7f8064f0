"""The similarity transform against Umeyama's SVD, least squares and an optimiser, and a face turned back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import least_squares

from arcterm.errors import DataError
from arcterm.faces import similarity
from arcterm.formats.images import decode

Points = NDArray[np.float64]
FACES = st.lists(st.floats(-50, 300), min_size=10, max_size=10).map(lambda n: np.array(n).reshape(5, 2))


def umeyama(src: Points, dst: Points) -> Points:
    """Eq. 40-43 of Umeyama, Least-squares estimation of transformation parameters, PAMI 13(4), 1991."""
    a, b = src - src.mean(0), dst - dst.mean(0)
    u, d, vt = np.linalg.svd(b.T @ a / len(src))
    s = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    turn = u @ np.diag(s) @ vt * ((d * s).sum() / (a**2).sum(1).mean())
    return np.column_stack([turn, dst.mean(0) - turn @ src.mean(0)])


def linear(src: Points, dst: Points) -> Points:
    """x' = a x - b y + c, y' = b x + a y + d by numpy's least squares."""
    rows = [row for x, y in src for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    a, b, c, d = np.linalg.lstsq(np.array(rows), dst.ravel(), rcond=None)[0]
    return np.array([[a, -b, c], [b, a, d]])


def moved(points: Points, matrix: Points) -> Points:
    return points @ matrix[:, :2].T + matrix[:, 2]


def transform(scale: float, degrees: float, x: float, y: float) -> Points:
    cos, sin = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    return np.array([[cos, -sin, x], [sin, cos, y]])


def test_the_template_is_the_published_one() -> None:
    narrow = [
        [30.2946, 51.6963],
        [65.5318, 51.5014],
        [48.0252, 71.7366],
        [33.5493, 92.3655],
        [62.7299, 92.2041],
    ]
    assert np.allclose(similarity.template((112, 96)), narrow, atol=1e-9)
    assert np.allclose(similarity.template(), np.add(narrow, (8, 0)))
    assert np.allclose(similarity.template((224, 224)), 2 * similarity.template())


@settings(max_examples=150, deadline=None)
@given(face=FACES)
def test_it_is_umeyamas(face: Points) -> None:
    dst = similarity.template()
    if np.abs(face - face.mean(0)).max() < 1:
        return
    try:
        found = similarity.estimate(face)
    except DataError:
        assert np.abs(linear(face, dst)[:, :2]).max() < 1e-2
        return
    assert np.allclose(found, linear(face, dst), atol=1e-6)
    svd = umeyama(face, dst)
    best = ((moved(face, found) - dst) ** 2).sum()
    assert best <= ((moved(face, svd) - dst) ** 2).sum() + 1e-6
    assert np.allclose(found, svd, atol=1e-4) or np.isclose(best, ((moved(face, svd) - dst) ** 2).sum())


def test_no_other_turn_scale_and_shift_is_nearer() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        face = similarity.template() * 1.7 + rng.normal(0, 6, (5, 2)) + 40

        def miss(p: Points, face: Points = face) -> Points:
            return (moved(face, transform(*p)) - similarity.template()).ravel()

        best = transform(*least_squares(miss, [1.0, 0.0, 0.0, 0.0], xtol=1e-12, ftol=1e-12).x)
        assert np.allclose(similarity.estimate(face), best, atol=1e-4)
        affine = np.linalg.lstsq(np.column_stack([face, np.ones(5)]), similarity.template(), rcond=None)[0].T
        assert not np.allclose(similarity.estimate(face), affine, atol=1e-3)  # six degrees of freedom differ


@pytest.mark.parametrize(
    "known", [(1.0, 0, 0, 0), (1.6, 25, 30, 10), (0.7, -160, 90, 110), (2.5, 90, 300, 0)]
)
@pytest.mark.parametrize("size", [(112, 112), (112, 96), (160, 160)])
def test_a_known_transform_is_found_back(known: tuple[float, ...], size: tuple[int, int]) -> None:
    matrix = transform(*known)
    face = moved(similarity.template(size), matrix)
    back = similarity.estimate(face, size)
    whole = np.vstack([matrix, [0, 0, 1]])
    assert np.allclose(back @ whole, [[1, 0, 0], [0, 1, 0]], atol=1e-9)


def test_a_turned_face_is_turned_back(test_data: Callable[[str], Path]) -> None:
    path = test_data("faces/orl/s1/1.pgm")
    face = decode(path.read_bytes(), size=None, source="")[:, :92]
    face = cv2.GaussianBlur(cv2.resize(face, (112, 112)), (0, 0), 1.5)
    matrix = transform(1.8, 33, 140, 20)
    picture = cv2.warpAffine(face, matrix, (400, 400), flags=cv2.INTER_LINEAR)
    landmarks = moved(similarity.template(), matrix)
    back = similarity.warp(picture, landmarks)
    assert back.shape == (112, 112, 3) and back.dtype == np.uint8
    inside = np.s_[8:-8, 8:-8]
    assert np.abs(back[inside].astype(int) - face[inside]).mean() < 1.5
    wrong = similarity.warp(picture, np.add(landmarks, (6, 0)))
    assert np.abs(wrong[inside].astype(int) - face[inside]).mean() > 4


def test_outside_of_the_image_is_black() -> None:
    white = np.full((112, 112, 3), 255, np.uint8)
    moved_right = similarity.warp(white, similarity.template() - (56, 0))
    assert (moved_right[:, :55] == 0).all() and (moved_right[:, 57:] == 255).all()


@pytest.mark.parametrize(
    "landmarks",
    [
        np.full((5, 2), 7.0),
        np.full((5, 2), np.nan),
        np.array([[np.inf, 0]] * 5),
        np.array([[1e300, 0], [0, 1e300], [0, 0], [1, 1], [2, 2]]),
        similarity.template() / 1e6,
        similarity.template()[:4],
        np.zeros((5, 2)) + np.arange(5)[:, None] * 1e-9,
    ],
)
def test_what_are_no_landmarks(landmarks: Points) -> None:
    with pytest.raises(DataError, match=r"a\.jpg: its landmarks are"):
        similarity.warp(np.zeros((10, 10, 3), np.uint8), landmarks, source="a.jpg")


def test_a_picture_too_long_for_opencv() -> None:
    with pytest.raises(DataError, match="a side of 40000 pixels"):
        similarity.warp(np.zeros((1, 40_000, 3), np.uint8), similarity.template())


def test_a_box_is_cut_out_with_half_the_margin_on_every_side() -> None:
    rows, columns = np.mgrid[0:300, 0:256]
    picture = np.stack([columns, rows % 256, rows * 0], 2).astype(np.uint8)
    cut = similarity.crop(picture, (60, 70, 128, 138))
    assert np.array_equal(cut, picture[48:160, 38:150])  # 68 + 44 = 112: nothing is stretched
    assert np.array_equal(
        similarity.crop(picture, (-50, -50, 90, 90)),
        cv2.resize(picture[:112, :112], (112, 112)),
    )
    assert similarity.crop(picture, (60, 70, 200, 270), (112, 96)).shape == (112, 96, 3)
    for box in ((5, 5, 5, 9), (9, 5, 5, 9), (400, 5, 500, 9), (5, -90, 9, -60)):
        with pytest.raises(DataError, match="holds nothing of 256×300"):
            similarity.crop(picture, box)
