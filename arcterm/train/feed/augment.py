"""Changes of training images, each with its probability, by numbers that follow from an image's key.

In this order: an affine map (`gridsample`), a crop on black (AdaFace: https://arxiv.org/abs/2204.00964),
holes (`gridsample`), brightness, contrast and saturation (MXNet's ColorJitterAug, as in 2018), low resolution
(AdaFace), blur and two changes of colour (`gridsample`), JPEG (2018), a square of grey (its cutoff), the
mirror image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import cv2
import numpy as np
from numpy.typing import NDArray

from arcterm.config import Augmentation
from arcterm.formats.images import Pixels, decode, encode_jpeg
from arcterm.train.feed import gridsample
from arcterm.train.feed.sampler import uniform

UNCHANGED = Augmentation(mirror=0.0)

_LUMA = np.array([0.299, 0.587, 0.114], np.float64)
_GREY = 128
# a kind's place is the stream that it is drawn from
_KINDS = ("mirror", "crop", "jitter", "lowres", "jpeg", "cutout", "warp", "holes", "blur", "recolour")
_COLOURS = ("brightness", "contrast", "saturation")
_ORDERS = tuple(permutations(_COLOURS))
_SCALES = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA, cv2.INTER_LANCZOS4)


@dataclass(frozen=True)
class Draws:
    """The changes of a batch: for each kind the images, (B,) bool, and the keys for what is drawn further.

    `any` are those that `apply` changes: the mirror image is the loader's.
    """

    asked: Augmentation
    keys: NDArray[np.uint64]
    chosen: dict[str, NDArray[np.bool_]]
    any: NDArray[np.bool_]

    def apply(self, pixels: Pixels, slot: int) -> None:
        """Change image `slot` of the batch in place, uint8 RGB (H, W, 3)."""
        asked, key = self.asked, self.keys[slot : slot + 1]

        def number(stream: int) -> float:
            return float(uniform(key, stream)[0])

        def numbers(stream: int, count: int) -> list[float]:
            return [number(n) for n in range(stream, stream + count)]

        if self.chosen["warp"][slot]:
            how = (asked.warp_low, asked.warp_high, asked.warp_angle, asked.warp_offset)
            gridsample.warp(pixels, *how, numbers(60, gridsample.WARPED))
        if self.chosen["crop"][slot]:
            _crop(pixels, asked.crop_area, numbers(10, 4))
        if self.chosen["holes"][slot]:
            gridsample.punch(pixels, numbers(100, gridsample.HOLED))
        if self.chosen["jitter"][slot]:
            _jitter(pixels, asked.jitter_strength, numbers(20, 4))
        if self.chosen["lowres"][slot]:
            _lower(pixels, asked.lowres_scale, numbers(30, 3))
        if self.chosen["blur"][slot]:
            gridsample.blur(pixels, numbers(70, gridsample.BLURRED))
        if self.chosen["recolour"][slot]:
            gridsample.recolour(pixels, numbers(80, gridsample.COLOURED))
        if self.chosen["jpeg"][slot]:
            quality = asked.jpeg_low + int(number(40) * (asked.jpeg_high - asked.jpeg_low + 1))
            pixels[:] = decode(encode_jpeg(pixels, quality), size=None, source="augmentation")
        if self.chosen["cutout"][slot]:
            _cut(pixels, asked.cutout_size, number(50), number(51))


def draw(asked: Augmentation, keys: NDArray[np.uint64]) -> Draws:
    """Decide for each image of a batch by its key (B,) which kinds change it."""
    chosen = {}
    touched = np.zeros(len(keys), np.bool_)
    for number, kind in enumerate(_KINDS):
        share = getattr(asked, kind)
        chosen[kind] = uniform(keys, number) < share if share else np.zeros(len(keys), np.bool_)
        if kind != "mirror":
            touched |= chosen[kind]
    return Draws(asked, keys, chosen, touched)


def _crop(pixels: Pixels, least: float, u: list[float]) -> None:
    """Keep a rectangle of `least` … 1 of the area and 3:4 … 4:3 where it is; the rest becomes black."""
    height, width = pixels.shape[:2]
    area = (least + u[0] * (1 - least)) * height * width
    ratio = (3 / 4) * (16 / 9) ** u[1]
    w, h = min(width, round((area * ratio) ** 0.5)), min(height, round((area / ratio) ** 0.5))
    x, y = int(u[2] * (width - w + 1)), int(u[3] * (height - h + 1))
    kept = pixels[y : y + h, x : x + w].copy()
    pixels[:] = 0
    pixels[y : y + h, x : x + w] = kept


def _jitter(pixels: Pixels, strength: float, u: list[float]) -> None:
    """Brightness, contrast and saturation by 1 ± `strength` each, in random order, in one linear map.

    Contrast scales about the mean luma of the image, saturation about each pixel's own (ITU-R BT.601).
    """
    matrix, offset = np.eye(3), np.zeros(3)
    factors = {kind: 1 + strength * (2 * number - 1) for kind, number in zip(_COLOURS, u, strict=False)}
    grey = np.tile(_LUMA, (3, 1))
    mean = pixels.reshape(-1, 3).mean(axis=0) @ _LUMA
    for kind in _ORDERS[int(u[3] * 6)]:
        f, shift = factors[kind], 0.0
        step = f * np.eye(3)
        if kind == "brightness":
            mean *= f
        elif kind == "contrast":
            shift = (1 - f) * mean
        else:
            step += (1 - f) * grey
        matrix, offset = step @ matrix, step @ offset + shift
    cv2.transform(pixels, np.column_stack([matrix, offset]), pixels)


def _lower(pixels: Pixels, least: float, u: list[float]) -> None:
    """Down to `least` … 1 of the side and back, each by one of five interpolations."""
    height, width = pixels.shape[:2]
    scale = least + u[0] * (1 - least)
    small = (max(1, round(scale * width)), max(1, round(scale * height)))
    down, up = _SCALES[int(u[1] * 5)], _SCALES[int(u[2] * 5)]
    pixels[:] = cv2.resize(cv2.resize(pixels, small, interpolation=down), (width, height), interpolation=up)


def _cut(pixels: Pixels, size: int, u: float, v: float) -> None:
    """Grey out a square of `size` pixels around a point anywhere in the image."""
    height, width = pixels.shape[:2]
    y, x = int(u * height), int(v * width)
    half = size // 2
    pixels[max(0, y - half) : y - half + size, max(0, x - half) : x - half + size] = _GREY
