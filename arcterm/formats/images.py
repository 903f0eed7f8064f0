"""Image files to pixels and back, by OpenCV: uint8 RGB (H, W, 3) everywhere outside this module."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError

# One image a thread: OpenCV's own pool would fight the loader's, and its talk would break the console.
cv2.setNumThreads(0)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Pixels = NDArray[np.uint8]


def decode(image: bytes | memoryview | Pixels, *, size: tuple[int, int] | None, source: str) -> Pixels:
    """Pixels of an encoded image, or of an array of pixels: uint8 RGB (H, W, 3); grey becomes RGB.

    `size` is (height, width), or None for any; `source` names the image in a message. Raises `DataError`
    if it isn't an image or has another size.
    """
    if isinstance(image, np.ndarray) and image.ndim > 1:
        pixels = _as_rgb(image, source)
    else:
        pixels = _decoded(np.frombuffer(image, np.uint8), source)
    if size is not None and pixels.shape[:2] != size:
        raise DataError(
            f"{source}: the image is {_words(pixels.shape)}, not {_words(size)}",
            "align or resize the images; arcterm data pack and the folder data set take --resize",
        )
    return pixels


def encode_jpeg(rgb: Pixels, quality: int = 95) -> bytes:
    """JPEG file of uint8 RGB (H, W, 3)."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"OpenCV can't encode an image of shape {rgb.shape}")
    return data.tobytes()


def resize(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """`rgb` stretched to (height, width), bilinear."""
    return cast(Pixels, cv2.resize(rgb, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def read_file(path: Path) -> bytes:
    """An image file's bytes; raises `DataError` if it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} can't be read: {error.strerror}", "check its permissions, or remove it"
        ) from None


def is_jpeg(data: bytes | memoryview) -> bool:
    """Whether a file's first bytes are JPEG's."""
    return bytes(data[:3]) == b"\xff\xd8\xff"


def _decoded(data: Pixels, source: str) -> Pixels:
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except cv2.error as error:
        reason = (
            "declares more pixels than OPENCV_IO_MAX_IMAGE_PIXELS" if "PIXELS" in str(error) else "is damaged"
        )
        raise DataError(f"{source}: the image {reason}", "remove or replace it") from None
    if pixels is None:
        raise DataError(f"{source}: these {data.size} bytes aren't a whole image", "remove or replace it")
    return cast(Pixels, pixels)


def _as_rgb(pixels: Pixels, source: str) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim > 3 or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        raise DataError(
            f"{source}: an array of {pixels.dtype} {pixels.shape} isn't an image",
            "give uint8 (H, W, 3) or (H, W)",
        )
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)


def _words(shape: tuple[int, ...]) -> str:
    """A shape as people say it, width first."""
    return f"{shape[1]}×{shape[0]}"
