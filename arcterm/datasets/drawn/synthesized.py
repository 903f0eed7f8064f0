"""The `synthetic` data set: any number of people and images out of a few drawn pictures, for benchmarks."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import cv2
import numpy as np
from arcterm_registry.contracts import DatasetFacts, PairSet, Record
from numpy.typing import NDArray

from arcterm.datasets.fitting import IMAGE_SIZE
from arcterm.formats.images import Pixels, decode, encode_jpeg
from arcterm.progress import Progress

PICTURES = 64
_NOISE = 13.0  # grey levels: a JPEG of quality 95 then has about 8 KB, as a face's


class SyntheticFaces:
    """Image `index` is picture ``index % 64`` of person ``index % classes`` (see `contracts.FaceDataset`).

    Images are JPEG files of about 8 KB or, if `decoded`, uint8 RGB (112, 112, 3) that can't be written to.
    """

    def __init__(self, classes: int, images: int, seed: int, decoded: bool) -> None:
        self.classes, self.images = classes, images
        self.verification: Mapping[str, PairSet] = {}
        jpegs = _pictures(seed)
        self._pool = (
            [_locked(decode(jpeg, size=IMAGE_SIZE, source="")) for jpeg in jpegs] if decoded else jpegs
        )

    def __len__(self) -> int:
        return self.images

    def __getitem__(self, index: int) -> Record:
        if not 0 <= index < self.images:
            raise IndexError(index)
        return Record(self._pool[index % PICTURES], index % self.classes, f"synthetic image {index}")

    def labels(self, progress: Progress) -> NDArray[np.int64]:
        """(N,) int64: the label of each image (see `contracts.LabelledDataset`)."""
        return np.arange(self.images) % self.classes


def open_dataset(*, classes: int, images: int, seed: int, decoded: bool) -> SyntheticFaces:
    return SyntheticFaces(classes, images, seed, decoded)


def inspect(*, classes: int, images: int, seed: int, decoded: bool) -> DatasetFacts:
    options = f"synthetic 1 {classes} {images} {seed} {decoded}"
    return DatasetFacts(
        images=images,
        classes=classes,
        image_size=IMAGE_SIZE,
        fingerprint=hashlib.sha256(options.encode()).hexdigest(),
        problems=("the images are noise, for measuring speed: there is nobody to be told apart in them",),
    )


def _pictures(seed: int) -> list[bytes]:
    """JPEG files of noise over a smooth play of colours; the same for the same seed."""
    rng = np.random.default_rng(seed)
    shape = (*IMAGE_SIZE, 3)
    made = []
    for _ in range(PICTURES):
        colours = rng.uniform(40, 215, (4, 4, 3)).astype(np.float32)
        smooth = cv2.resize(colours, IMAGE_SIZE, interpolation=cv2.INTER_CUBIC)
        noisy = smooth + _NOISE * rng.standard_normal(shape, np.float32)
        made.append(encode_jpeg(np.clip(noisy, 0, 255).astype(np.uint8)))
    return made


def _locked(pixels: Pixels) -> Pixels:
    pixels.flags.writeable = False
    return pixels
