"""Images of a data set at the size that it promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import simplejpeg

from arcterm.errors import DataError
from arcterm.formats import images as codec

if TYPE_CHECKING:
    from arcterm_registry.contracts import Image, Record

IMAGE_SIZE = (112, 112)


class Records(Protocol):
    """A sequence of records."""

    def __getitem__(self, index: int) -> Record: ...


_PLAIN = ("YCbCr", "Gray", "RGB")


def fit(image: Image, size: tuple[int, int], *, resize: bool, source: str) -> Image:
    """The same bytes if they are a JPEG of `size` (height, width), else its pixels, uint8 RGB (*size, 3).

    Those of another size are stretched with `resize`. Raises `DataError` naming `source` without it, and for
    what is no image.
    """
    if not isinstance(image, np.ndarray) and codec.is_jpeg(image):
        try:
            height, width, colours, _ = simplejpeg.decode_jpeg_header(image)
        except ValueError:  # the decoder says what is wrong with it
            colours = ""
        if colours in _PLAIN and (height, width) == size:
            return image
    pixels = codec.decode(image, size=None if resize else size, source=source)
    return pixels if pixels.shape[:2] == size else codec.resize(pixels, size)


def look(faces: Records, indices: list[int], size: tuple[int, int]) -> list[str]:
    """Sentences about those of `indices` whose image, (height, width) `size`, or label can't be used.

    Training passes over a few broken records. Raises the first `DataError` if it is more than one in ten.
    """
    errors = []
    for index in indices:
        try:
            record = faces[index]
            codec.decode(record.image, size=size, source=record.source)
        except DataError as error:
            errors.append(error)
    if len(errors) * 10 > len(indices):
        raise errors[0]
    if not errors:
        return []
    return [
        f"{len(errors)} of {len(indices)} records looked at can't be used, and training skips such: "
        f"{errors[0].message}; `arcterm data check SRC` names all of them"
    ]


def samples(count: int, most: int = 32) -> list[int]:
    """Indexes from the first to the last of `count` images, evenly, to be looked at before a launch."""
    return sorted({(count - 1) * n // most for n in range(most + 1)})
