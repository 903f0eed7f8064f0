"""TinyFace's own small images made into aligned faces, as for the results that are published.

It is the one behind the folder ``aligned_pad_0.1_pad_high`` of AdaFace's TinyFace: github.com/mk-minchul/
face_aligner_insightface, ``align_mtcnn.py``, which then stores the faces as JPEG once more. No image is
dropped: one in which MTCNN finds no face is enlarged as it is.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from arcterm_registry.contracts import Face
from numpy.typing import NDArray

from arcterm.align.detection import Detectors
from arcterm.align.steps import choose
from arcterm.errors import DataError
from arcterm.faces import similarity
from arcterm.formats import images
from arcterm.formats.images import Pixels

OPTIONS = MappingProxyType(
    {"minsize": 20, "factor": 0.85, "threshold1": 0.6, "threshold2": 0.7, "threshold3": 0.9}
)
"""Of MTCNN; minsize is of the image of 38×38."""
FOUND, NOT_FOUND = 1, 2

_SIDE, _EDGE = 32, 3  # a tenth of the side
_ROOF = 9  # black rows: three tenths of the side
_BATCH = 32
_HELD = 16
"""Batches that are held in memory, the last ones."""


class SmallFaces:
    """Image files as aligned faces; `marks` (N,) uint8 gets `FOUND` or `NOT_FOUND` for each as it is made.

    Faces are looked for in fixed batches: what a network finds in one image may hang, in its last digits, on
    which others it is given.
    """

    def __init__(self, files: Sequence[Path], detectors: Detectors, marks: NDArray[np.uint8]) -> None:
        self._files, self._detectors, self._marks = files, detectors, marks
        self._made: OrderedDict[int, dict[int, Pixels | DataError]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._files)

    def name(self, index: int) -> str:
        return _name(self._files[index])

    def pixels(self, index: int, size: tuple[int, int]) -> Pixels:
        """The face of image `index`, uint8 RGB (*size, 3); raises `DataError` if it can't be read."""
        number = index // _BATCH
        with self._lock:
            if number not in self._made:
                self._made[number] = self._make(number, size)
                if len(self._made) > _HELD:
                    self._made.popitem(last=False)
            made = self._made[number][index]
        if isinstance(made, DataError):
            raise made
        return made

    def _make(self, number: int, size: tuple[int, int]) -> dict[int, Pixels | DataError]:
        made: dict[int, Pixels | DataError] = {}
        padded: dict[int, Pixels] = {}
        for index in range(number * _BATCH, min((number + 1) * _BATCH, len(self))):
            file = self._files[index]
            try:
                padded[index] = pad(
                    images.decode(images.read_file(file, _name(file)), size=None, source=_name(file))
                )
            except DataError as error:
                made[index] = error
        faces = self._detectors.detect(list(padded.values()), None) if padded else []
        for (index, pixels), found in zip(padded.items(), faces, strict=True):
            face = align(pixels, found, size)
            self._marks[index] = NOT_FOUND if face is None else FOUND
            made[index] = enlarge(pixels, size) if face is None else face
        return made


def pad(pixels: Pixels) -> Pixels:
    """An image (H, W, 3) as 32×32 within a black edge of 3 pixels: (38, 38, 3)."""
    square = _squared(pixels)
    if square.shape[0] != _SIDE:
        square = images.resize(square, (_SIDE, _SIDE))
    return np.pad(square, ((_EDGE, _EDGE), (_EDGE, _EDGE), (0, 0)))


def align(padded: Pixels, faces: Sequence[Face], size: tuple[int, int]) -> Pixels | None:
    """The face that is large and near the middle, aligned; None without one whose landmarks can be."""
    if not faces:
        return None
    try:
        return similarity.warp(padded, faces[choose(faces, padded.shape)].points, size)
    except DataError:
        return None


def enlarge(padded: Pixels, size: tuple[int, int]) -> Pixels:
    """An image without a face: black rows above it, squared, and stretched to `size`."""
    return images.resize(_squared(np.pad(padded, ((_ROOF, 0), (0, 0), (0, 0)))), size)


def _squared(pixels: Pixels) -> Pixels:
    """Pad the shorter side with black to a square; of an odd number the right or lower side gets more."""
    height, width = pixels.shape[:2]
    high, wide = max(width - height, 0), max(height - width, 0)
    return np.pad(pixels, ((high // 2, high - high // 2), (wide // 2, wide - wide // 2), (0, 0)))


def _name(file: Path) -> str:
    """``Probe/1_2.jpg``."""
    return f"{file.parent.name}/{file.name}"
