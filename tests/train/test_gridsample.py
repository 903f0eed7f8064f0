"""CVLface's augmentation against its parts as they were published, one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest

from arcterm.config import Augmentation
from arcterm.errors import ConfigError
from arcterm.train.feed import gridsample

from ..runs.conftest import config
from .test_augment import applied, picture


def translated(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


@pytest.mark.parametrize("seed", range(8))
def test_the_map_is_turn_shift_and_scale_one_after_another(seed):
    u = np.random.default_rng(seed).random(8).tolist()
    turn = math.radians((2 * u[1] - 1) * 30) if u[0] < 0.2 else 0.0
    scale, beyond = 0.7 + u[2] * 1.3, u[3] * 0.15
    pad = 56 / scale - 56 + beyond * 56
    x, y = ((1 if sign < 0.5 else -1) * pad * part for sign, part in ((u[4], u[6]), (u[5], u[7])))
    rotation = np.array(
        [[math.cos(turn), math.sin(turn), 0], [-math.sin(turn), math.cos(turn), 0], [0, 0, 1]]
    )
    steps = [
        translated(-56, -56), rotation, translated(56, 56), translated(-56 - x, -56 - y),
        np.diag([scale, scale, 1]), translated(56, 56),
    ]  # fmt: skip
    whole = np.eye(3)
    for step in steps:
        whole = step @ whole
    assert gridsample.matrix((112, 112), 0.7, 2.0, 30, 0.15, u) == pytest.approx(whole[:2], abs=1e-9)


def test_without_an_offset_nothing_black_comes_into_a_larger_image_and_a_smaller_one_stays_whole():
    for pixels in applied(
        Augmentation(warp=1.0, warp_low=1.1, warp_high=2.0, warp_offset=0, warp_angle=0), 60
    ):
        assert pixels[1:-1, 1:-1].any(axis=2).all()
    for pixels in applied(
        Augmentation(warp=1.0, warp_low=0.5, warp_high=0.5, warp_offset=0, warp_angle=0), 60
    ):
        seen = pixels.any(axis=2)
        assert 55 <= seen.any(axis=0).sum() <= 57 and 55 <= seen.any(axis=1).sum() <= 57


@pytest.mark.parametrize(
    ("kind", "enhance"),
    [
        ("brightness", "Brightness"),
        ("saturation", "Color"),
        ("contrast", "Contrast"),
        ("sharpness", "Sharpness"),
    ],
)
@pytest.mark.parametrize("factor", [0.4, 1.66])
def test_colours_change_as_in_pil(kind, enhance, factor):
    pil = pytest.importorskip("PIL.Image")
    enhancer = getattr(pytest.importorskip("PIL.ImageEnhance"), enhance)
    noise = np.random.default_rng(3).integers(-30, 30, (112, 112, 3))
    image = (picture() + noise).clip(0, 255).astype(np.uint8)
    expected = np.asarray(enhancer(pil.fromarray(image)).enhance(factor)).astype(int)
    gridsample._change(image, kind, factor)
    assert np.abs(image - expected).max() <= 2


def test_kinds_of_colour_are_drawn_as_published():
    """Of two of seven kinds; equalize and grey only where they are drawn three times."""
    rng, met, plain = np.random.default_rng(0), [], picture()
    change = gridsample._change
    gridsample._change = lambda pixels, kind, factor: met.append((kind, factor))
    try:
        for _ in range(6000):
            gridsample.recolour(plain, rng.random(10).tolist())
    finally:
        gridsample._change = change
    kinds, factors = [kind for kind, _ in met], np.array([factor for _, factor in met])
    rare = (2 / 7) ** 3 / 2
    assert kinds.count("grey") / len(kinds) == pytest.approx(rare, rel=0.25)
    assert kinds.count("contrast") / len(kinds) == pytest.approx((1 - 2 * rare) / 5, rel=0.05)
    assert np.abs(factors - 1).min() == pytest.approx(0.15) and np.abs(factors - 1).max() == pytest.approx(
        0.66
    )
    assert (factors > 1).mean() == pytest.approx(0.5, abs=0.02)


def test_holes_are_black_squares():
    covered = [(~pixels.any(axis=2)).sum() for pixels in applied(Augmentation(holes=1.0), 60)]
    assert min(covered) > 12 * 256 * 0.5 and max(covered) <= 20 * 256


def test_an_image_is_changed_alike_by_one_key():
    one = Augmentation(warp=0.9, holes=0.5, blur=0.9, recolour=0.9)
    assert all(np.array_equal(a, b) for a, b in zip(applied(one, 30), applied(one, 30), strict=True))


def test_a_range_of_scales_rises():
    with pytest.raises(ConfigError, match=r"warp_low 1\.5 is above warp_high 1\.2"):
        config(warp_low=1.5)
