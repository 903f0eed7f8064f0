"""Image files to pixels and back: uint8 RGB (H, W, 3) everywhere outside this module.

JPEG is decoded by libjpeg-turbo through simplejpeg, which gives the same pixels as OpenCV and, unlike it,
refuses a file whose data ends early or makes no sense; everything else by OpenCV. Of a file with several
pictures the first is taken, and what is transparent has the colour that the file gives it.
"""

from __future__ import annotations

import stat
import struct
import zlib
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats import gif, tiff
from arcterm.formats.lfs import HINT as LFS_HINT
from arcterm.formats.lfs import is_pointer

# One image a thread: OpenCV's own pool would fight the loader's, and its talk would break the console.
cv2.setNumThreads(0)
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

Pixels = NDArray[np.uint8]
MAX_PIXELS = 36_000_000
"""More than a camera takes; a 700-byte file may declare a hundred times as many."""
MAX_BYTES = 1 << 26
"""Of an image file."""
MAX_SCANS = 64
"""Of a progressive JPEG; each may take a few bytes of the file, and always takes a pass over all pixels."""
_JPEG = b"\xff\xd8\xff"
_EXIF = b"Exif\0\0"
_SCAN = b"\xff\xda"
_PNG = b"\x89PNG\r\n\x1a\n"
_ENDINGS = {
    _JPEG: ".jpg",
    _PNG: ".png",
    b"RIFF": ".webp",
    b"BM": ".bmp",
    b"P2": ".pgm",
    b"P3": ".ppm",
    b"P5": ".pgm",
    b"P6": ".ppm",
    b"GIF87a": ".gif",
    b"GIF89a": ".gif",
    b"II*\0": ".tif",
    b"MM\0*": ".tif",
    b"II+\0": ".tif",
    b"MM\0+": ".tif",
}
"""The kinds that are read, by what their files begin with; OpenCV has decoders for more."""


def decode(image: bytes | memoryview | Pixels, *, size: tuple[int, int] | None, source: str) -> Pixels:
    """Pixels of an encoded image, or of an array of pixels: uint8 RGB (H, W, 3); grey becomes RGB.

    `size` is (height, width), or None for any; `source` names the image in a message. Raises `DataError`
    if it isn't an image, is damaged, has more than `MAX_PIXELS`, or another size.
    """
    if isinstance(image, np.ndarray) and image.ndim > 1:
        pixels = _as_rgb(image, source)
    else:
        pixels = _decode(memoryview(image).cast("B"), source)  # type: ignore[arg-type]
    if size is not None:
        check_size(pixels, size, source)
    return pixels


def check_size(pixels: Pixels, size: tuple[int, int], source: str) -> None:
    """Raise `DataError` unless the image is (height, width) `size`."""
    if pixels.shape[:2] != size:
        raise DataError(
            f"{source}: the image is {_dimensions(pixels.shape)}, not {_dimensions(size)}",
            "align or resize the images: `arcterm data pack SRC DST --resize` stretches them",
        )


def decode_into(slot: Pixels, image: bytes | memoryview | Pixels, source: str) -> None:
    """Fill `slot`, uint8 (H, W, 3), C-contiguous, with an image that must have its size; raises as `decode`.

    A colour JPEG is decoded straight into it.
    """
    head = b"" if isinstance(image, np.ndarray) else bytes(image[:64])
    if head.startswith(_JPEG) and _EXIF not in head:
        try:
            if simplejpeg.decode_jpeg(image, "RGB", buffer=slot).shape == slot.shape:
                return
        except ValueError:
            pass  # another size, kind or damage: the way below finds out which, and says so
    slot[:] = decode(image, size=(slot.shape[0], slot.shape[1]), source=source)


def encode_jpeg(rgb: Pixels, quality: int = 95) -> bytes:
    """JPEG file of uint8 RGB (H, W, 3)."""
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"OpenCV can't encode an image of shape {rgb.shape}")
    return data.tobytes()


def encode_png(rgb: Pixels) -> bytes:
    """PNG file of uint8 RGB (H, W, 3)."""
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    if not done:
        raise ValueError(f"OpenCV can't encode an image of shape {rgb.shape}")
    return data.tobytes()


def resize(rgb: Pixels, size: tuple[int, int]) -> Pixels:
    """`rgb` stretched to (height, width), bilinear."""
    return cast(Pixels, cv2.resize(rgb, (size[1], size[0]), interpolation=cv2.INTER_LINEAR))


def read_file(path: Path, source: str = "") -> bytes:
    """An image file's bytes; raises `DataError`, naming `source` or the path, if it can't be read."""
    source = source or str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a device or a pipe might never end
            raise DataError(f"{source} is not a file", "remove it, or correct the list that names it")
        if status.st_size > MAX_BYTES:
            raise DataError(f"{source} has {status.st_size:,} bytes", f"at most {MAX_BYTES:,} are read")
        data = path.read_bytes()
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        raise DataError(
            f"{source} can't be read: {error.strerror}",
            f"check {'the path' if gone else 'its permissions, or remove it'}; "
            "if a list names it, correct the list or say its root",
        ) from None
    if not data:
        raise DataError(f"{source} is an empty file", "copy it again, or remove it")
    if is_pointer(data):
        raise DataError(f"{source} is a Git LFS pointer, not the image itself", LFS_HINT)
    return data


def is_jpeg(data: bytes | memoryview) -> bool:
    """Whether a file's first bytes are JPEG's."""
    return bytes(data[:3]) == _JPEG


def ending(data: bytes | memoryview) -> str:
    """File name suffix for an image that begins with `data`; empty for a kind that isn't read."""
    head = bytes(data[:8])
    return next((name for beginning, name in _ENDINGS.items() if head.startswith(beginning)), "")


def _decode(data: memoryview, source: str) -> Pixels:
    if is_jpeg(data):
        return _decode_jpeg(data, source)
    kind = ending(data)
    if not kind:
        raise _incomplete_error(data, source)
    if kind == ".png":
        data = _checked_png(data, source)
    if kind in (".gif", ".tif"):
        data = _first_picture(data, kind, source)
    return _decode_by_opencv(data, source)  # which holds other kinds to OPENCV_IO_MAX_IMAGE_PIXELS


def _decode_jpeg(data: memoryview, source: str) -> Pixels:
    if bytes(data).count(_SCAN) > MAX_SCANS:
        raise DataError(f"{source}: the image has more than {MAX_SCANS} scans", "remove or replace it")
    try:
        if _jpeg_colour_space(data, source) == "CMYK":
            return _decode_by_opencv(data, source)
        pixels = simplejpeg.decode_jpeg(data, "RGB")
    except ValueError as error:
        raise DataError(
            f"{source}: these {len(data)} bytes aren't a whole image: {_reason(error)}",
            "remove or replace it",
        ) from None
    # a camera's note on how it was held: OpenCV turns the picture, as MXNet's reader did
    return _decode_by_opencv(data, source) if _EXIF in bytes(data[:64]) else cast(Pixels, pixels)


def _jpeg_colour_space(data: memoryview, source: str) -> str:
    """Colour space of a JPEG, empty if the header can't say; raises `DataError` for too many pixels."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except KeyError:  # no name for the rarest ways, such as 4:4:1; OpenCV holds these to the limit
        _decode_by_opencv(data, source)
        return ""
    _check_pixels(height, width, source)
    return str(colours)


def _checked_png(data: memoryview, source: str) -> memoryview:
    """A PNG from its first byte to its last; raises `DataError` for too many pixels or a damaged chunk.

    OpenCV goes on behind the end, and makes room for as much as a chunk says that it has.
    """
    if len(data) < 33 or bytes(data[8:16]) != b"\0\0\0\rIHDR":
        raise _incomplete_error(data, source)
    width, height = struct.unpack_from(">II", data, 16)
    _check_pixels(height, width, source)
    at, kind = 8, b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise _incomplete_error(data, source)
        length, kind = struct.unpack_from(">I4s", data, at)
        crc = data[at + 8 + length : at + 12 + length]
        if zlib.crc32(data[at + 4 : at + 8 + length]).to_bytes(4, "big") != crc:
            raise _incomplete_error(data, source)
        at += 12 + length
    return data[:at]


def _first_picture(data: memoryview, kind: str, source: str) -> memoryview:
    """A GIF of its first picture, or a TIFF as it is; raises `DataError` for one that can't be decoded.

    OpenCV would look at every picture of a GIF, and make room for what a TIFF says that a tile of it has.
    """
    try:
        if kind == ".gif":
            first = gif.read_first(bytes(data))
            _check_pixels(first.height, first.width, source)
            return memoryview(first.data)
        height, width = tiff.read_first(data, MAX_PIXELS)
    except ValueError as error:
        name = "GIF" if kind == ".gif" else "TIFF"
        raise DataError(f"{source}: the {name} can't be read: {error}", "remove or replace it") from None
    _check_pixels(height, width, source)
    return data


def _decode_by_opencv(data: memoryview, source: str) -> Pixels:
    raw = np.frombuffer(data, np.uint8)
    try:
        pixels = cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB) if raw.size else None
    except cv2.error as error:
        reason = f"declares more than {MAX_PIXELS:,} pixels" if "PIXELS" in str(error) else "is damaged"
        raise DataError(f"{source}: the image {reason}", "remove or replace it") from None
    if pixels is None:
        raise _incomplete_error(data, source)
    return cast(Pixels, pixels)


def _check_pixels(height: int, width: int, source: str) -> None:
    if height * width > MAX_PIXELS:
        raise DataError(
            f"{source}: the image declares {width}×{height}, more than {MAX_PIXELS:,} pixels",
            "remove or replace it",
        )


def _incomplete_error(data: memoryview, source: str) -> DataError:
    if is_pointer(data):
        return DataError(f"{source}: instead of an image there is a Git LFS pointer", LFS_HINT)
    return DataError(
        f"{source}: these {len(data)} bytes aren't a whole image",
        "remove or replace it; JPEG, PNG, WebP, BMP, PGM, PPM, TIFF and GIF are read",
    )


def _reason(error: ValueError) -> str:
    """libjpeg's message without the name of its function."""
    return str(error).splitlines()[0].partition("(): ")[2][:120] or str(error)[:120]


def _as_rgb(pixels: Pixels, source: str) -> Pixels:
    if pixels.dtype != np.uint8 or pixels.ndim > 3 or (pixels.ndim == 3 and pixels.shape[2] not in (1, 3)):
        raise DataError(
            f"{source}: an array of {pixels.dtype} {pixels.shape} isn't an image",
            "give uint8 (H, W, 3) or (H, W)",
        )
    if pixels.ndim == 3 and pixels.shape[2] == 3:
        return pixels
    return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)


def _dimensions(shape: tuple[int, ...]) -> str:
    """``WIDTH×HEIGHT`` of a shape."""
    return f"{shape[1]}×{shape[0]}"
