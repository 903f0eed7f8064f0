"""Whether a face looks aligned: aligned photographs of others, and the same ones moved, turned and shrunk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from arcterm.data.check.alignment import judge, prepare
from arcterm.formats.images import Pixels, decode
from arcterm.formats.pairs.binfile import read_pairs
from arcterm.formats.recordio.facepack import FacePack


def looks_aligned(rgb: np.ndarray) -> bool | None:
    return {1: True, -1: False}.get(int(judge(prepare(rgb)[None])[0]))


@pytest.fixture
def aligned(test_data: Callable[[str], Path]) -> list[Pixels]:
    """28 photographs of faces that were aligned by others."""
    pack = FacePack(test_data("recordio/popkorn"))
    images = [pack[n].image for n in range(len(pack))]
    images += read_pairs(test_data("pairs/small_lfw.bin")).images
    return [decode(image, size=(112, 112), source="test") for image in images]


def warp(image: Pixels, dx: float = 0, dy: float = 0, scale: float = 1, degrees: float = 0) -> Pixels:
    matrix = cv2.getRotationMatrix2D((56, 66), degrees, scale)
    matrix[:, 2] += dx, dy
    return np.asarray(cv2.warpAffine(image, matrix, (112, 112), borderMode=cv2.BORDER_REPLICATE))


def rates(images: list[Pixels]) -> tuple[float, float]:
    """Shares that look aligned and not aligned."""
    found = judge(np.stack([prepare(image) for image in images]))
    return float((found == 1).mean()), float((found == -1).mean())


def test_aligned_faces_look_aligned(aligned: list[Pixels]) -> None:
    yes, no = rates(aligned)
    assert yes >= 0.75
    assert no == 0
    rng = np.random.default_rng(1)
    moved = [
        warp(image, *rng.uniform(-3, 3, 2), np.exp(rng.uniform(-0.06, 0.06)), rng.uniform(-5, 5))
        for image in aligned * 4
    ]
    yes, no = rates(moved)
    assert yes >= 0.7
    assert no == 0


@pytest.mark.parametrize(
    ("change", "least"),
    [
        ({"dx": 16}, 0.6),
        ({"dx": -18}, 0.7),
        ({"dy": 18}, 0.95),
        ({"dy": -16}, 0.95),
        ({"dx": 10, "dy": 10}, 0.8),
        ({"degrees": 25}, 0.85),
        ({"degrees": -25}, 0.85),
        ({"scale": 0.6}, 0.65),
    ],
)
def test_faces_elsewhere_do_not(aligned: list[Pixels], change: dict[str, float], least: float) -> None:
    yes, no = rates([warp(image, **change) for image in aligned])
    assert no >= least
    assert yes <= 0.1


def test_noise_is_no_face_and_gets_no_opinion() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 112, 112, 3), dtype=np.uint8)
    assert [looks_aligned(image) for image in noise] == [None] * 20


def test_one_by_one_as_in_a_batch(aligned: list[Pixels]) -> None:
    batch = judge(np.stack([prepare(image) for image in aligned]))
    words = {True: 1, False: -1, None: 0}
    assert [words[looks_aligned(image)] for image in aligned] == batch.tolist()


def test_blank_images_and_other_sizes_get_an_answer() -> None:
    assert looks_aligned(np.full((112, 112, 3), 7, np.uint8)) is None
    assert looks_aligned(np.zeros((16, 300, 3), np.uint8)) is None
