"""Augmentation: each kind does what its source says, as often as it is told to."""

from __future__ import annotations

from itertools import permutations

import cv2
import numpy as np
import pytest

from arcterm.config import Augmentation
from arcterm.train.feed import augment
from arcterm.train.feed.augment import draw
from arcterm.train.feed.sampler import keys

KINDS = ("crop", "jitter", "lowres", "jpeg", "cutout", "warp", "holes", "blur", "recolour")


def picture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 226, (9, 9, 3), np.uint8)
    return cv2.resize(coarse, (112, 112), interpolation=cv2.INTER_CUBIC)


def applied(one: Augmentation, count: int = 400) -> list[np.ndarray]:
    draws = draw(one, keys(0, 0, np.arange(count)))
    found = []
    for slot in range(count):
        pixels = picture()
        draws.apply(pixels, slot)
        found.append(pixels)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_happens_as_often_as_it_is_told(kind):
    plain = picture()
    for share in (0.0, 0.3, 1.0):
        one = Augmentation(**{kind: share})
        draws = draw(one, keys(1, 2, np.arange(20_000)))
        assert draws.any.mean() == pytest.approx(share, abs=0.015)
        changed = np.mean([not np.array_equal(p, plain) for p in applied(one)])
        assert changed == pytest.approx(share, abs=0.12)  # a blur may be of one pixel, a colour the same


def test_nothing_is_touched_without_a_probability():
    draws = draw(Augmentation(mirror=1.0), keys(0, 0, np.arange(9)))
    assert draws.chosen["mirror"].all() and not draws.any.any()


def test_kinds_are_drawn_apart():
    draws = draw(Augmentation(mirror=0.5, **dict.fromkeys(KINDS, 0.5)), keys(0, 0, np.arange(50_000)))
    drawn = np.array([draws.chosen[kind] for kind in ("mirror", *KINDS)], float)
    assert np.abs(np.corrcoef(drawn) - np.eye(10)).max() < 0.02


def test_a_crop_stays_where_it_is():
    plain = picture()
    areas, ratios = [], []
    for pixels in applied(Augmentation(crop=1.0, crop_area=0.2)):
        rows, columns = np.flatnonzero(pixels.any(axis=(1, 2))), np.flatnonzero(pixels.any(axis=(0, 2)))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert np.array_equal(pixels[box], plain[box])
        outside = pixels.copy()
        outside[box] = 0
        assert not outside.any()
        areas.append(len(rows) * len(columns) / 112**2)
        ratios.append(len(columns) / len(rows))
    assert 0.18 < min(areas) < 0.25 and max(areas) > 0.9 and np.mean(areas) == pytest.approx(0.6, abs=0.05)
    assert min(ratios) > 0.72 and max(ratios) < 1.37


def mxnet_jitter(image: np.ndarray, order: tuple[str, ...], factors: dict[str, float]) -> np.ndarray:
    """BrightnessJitterAug, ContrastJitterAug and SaturationJitterAug of MXNet, one by one in float64."""
    coefficients = np.array([[[0.299, 0.587, 0.114]]])
    src = image.astype(np.float64)
    for kind in order:
        alpha = factors[kind]
        if kind == "brightness":
            src = src * alpha
        elif kind == "contrast":
            grey = src * coefficients
            src = src * alpha + (3.0 * (1.0 - alpha) / grey.size) * grey.sum()
        else:
            grey = (src * coefficients).sum(axis=2, keepdims=True)
            src = src * alpha + grey * (1.0 - alpha)
    return src


@pytest.mark.parametrize("number", range(6))
def test_colours_change_as_in_mxnet(number):
    order = list(permutations(("brightness", "contrast", "saturation")))[number]
    u = [0.9, 0.2, 0.85, (number + 0.5) / 6]
    factors = {
        kind: 1 + 0.2 * (2 * x - 1)
        for kind, x in zip(("brightness", "contrast", "saturation"), u, strict=False)
    }
    pixels = picture()
    augment._jitter(pixels, 0.2, u)
    expected = mxnet_jitter(picture(), order, factors).clip(0, 255)
    assert np.abs(pixels - expected).max() < 1.0 and np.abs(pixels - expected).mean() < 0.3
    other = mxnet_jitter(picture(), order, factors | {"contrast": 1.0}).clip(0, 255)
    assert np.abs(pixels - other).max() > 3


def test_low_resolution_loses_detail_and_keeps_the_size():
    noise = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)

    def sharpness(image: np.ndarray) -> float:
        return float(np.abs(np.diff(image.astype(int), axis=1)).mean())

    blurred = []
    for scale in (0.02, 0.3, 0.999):
        pixels = noise.copy()
        augment._lower(pixels, scale, [0.0, 0.9 * 3 / 5, 0.3])  # area down, linear up
        assert pixels.shape == noise.shape
        blurred.append(sharpness(pixels))
    assert blurred[0] < blurred[1] / 2 and blurred[1] < blurred[2] and blurred[2] == pytest.approx(85, abs=2)


def test_jpeg_compresses_by_a_quality_of_the_range():
    one = Augmentation(jpeg=1.0, jpeg_low=5, jpeg_high=7)
    candidates = {
        cv2.imdecode(
            cv2.imencode(".jpg", picture()[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, q])[1],
            cv2.IMREAD_COLOR_RGB,
        ).tobytes(): q
        for q in range(1, 30)
    }
    met = [candidates[pixels.tobytes()] for pixels in applied(one, 60)]
    assert set(met) == {5, 6, 7}


def test_a_square_of_grey_is_clipped_at_the_edge():
    sizes = []
    for pixels in applied(Augmentation(cutout=1.0, cutout_size=40)):
        grey = (pixels != picture()).any(axis=2)
        rows, columns = np.flatnonzero(grey.any(axis=1)), np.flatnonzero(grey.any(axis=0))
        box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (pixels[box] == 128).all()
        sizes.append((len(rows), len(columns)))
    assert max(sizes) == (40, 40) and min(min(size) for size in sizes) < 30
