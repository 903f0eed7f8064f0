"""YuNet through OpenCV's `FaceDetectorYN`.

Its rows are x, y, width, height, then five points in the order of the ArcFace template, then the score; rows
come with the best first. Source: ``face_detect.cpp`` of OpenCV.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from arcterm_registry.contracts import Face
from numpy.typing import NDArray

from arcterm.detectors.pixels import three_channels
from arcterm.errors import DataError
from arcterm.formats import onnxfile
from arcterm.formats.lfs import refuse_pointer
from arcterm.text import clean

_LARGEST = 8 << 20  # bytes of a file; there are ones of 100 to 350 thousand
_OUTPUTS = {f"{part}_{stride}" for part in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)}
_TRIAL = (320, 320)
_ADVICE = "YuNet's file is face_detection_yunet_2023mar.onnx of github.com/opencv/opencv_zoo: get it again"


class YuNet:
    """The detector: one network, which is set to the size of each image."""

    def __init__(self, weights: str, *, score: float, nms: float, top_k: int, longest: int) -> None:
        """Open the ONNX file `weights`; raises `DataError` if it can't be read or is no YuNet."""
        self._longest = longest
        self._network = _open(Path(weights), score, nms, top_k)

    def detect(
        self, images: Sequence[NDArray[np.uint8]], smallest: Sequence[int] | None = None
    ) -> list[list[Face]]:
        """Find the faces of each image, one image after the other; see `contracts.FaceDetector`."""
        least = [0] * len(images) if smallest is None else smallest
        return [self._find_faces(image, side) for image, side in zip(images, least, strict=True)]

    def _find_faces(self, image: NDArray[np.uint8], smallest: int) -> list[Face]:
        """The faces of `image` whose boxes are `smallest` wide or high, or more."""
        if not image.size:
            return []
        height, width = image.shape[:2]
        scale = min(1.0, self._longest / max(height, width))
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.cvtColor(three_channels(image), cv2.COLOR_RGB2BGR)
        if inner != (width, height):
            pixels = cv2.resize(pixels, inner, interpolation=cv2.INTER_AREA)
        self._network.setInputSize(inner)
        rows = self._network.detect(pixels)[1]
        if rows is None:
            return []
        ratio = np.array([inner[0] / width, inner[1] / height])
        faces = (_read_row(row, ratio) for row in rows.astype(np.float64) if np.isfinite(row).all())
        return [face for face in faces if max(face.box[2:] - face.box[:2]) >= smallest]


def _read_row(row: NDArray[np.float64], ratio: NDArray[np.float64]) -> Face:
    """A face from a row of 15 numbers; `ratio` (2,) is how much smaller than the image the network's was."""
    corner, sides = row[:2] / ratio, row[2:4] / ratio
    points = row[4:14].reshape(5, 2) / ratio
    return Face(np.concatenate([corner, corner + sides]), points, float(np.clip(row[14], 0, 1)))


def _open(path: Path, score: float, nms: float, top_k: int) -> Any:
    """Make the network, and try it once on black; raises `DataError`."""
    data = _read(path)
    try:
        outputs = [clean(output.name) for output in onnxfile.read(path).outputs]
    except DataError as error:
        raise DataError(error.message, _ADVICE) from None
    if set(outputs) != _OUTPUTS:
        # OpenCV would make a detector of any network, and crash with its first image
        shown = ", ".join(outputs[:4]) + (", …" if len(outputs) > 4 else "")
        raise DataError(f"{path} is an ONNX file of another network: its outputs are {shown}", _ADVICE)
    try:
        with _silence():
            network = cv2.FaceDetectorYN.create(
                "onnx", np.frombuffer(data, np.uint8), np.empty(0, np.uint8), _TRIAL, score, nms, top_k
            )
            network.detect(np.zeros((*_TRIAL, 3), np.uint8))
    except cv2.error as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path} has YuNet's outputs, and OpenCV can't run it: {reason}", _ADVICE) from None
    return network


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", _ADVICE) from None
    refuse_pointer(data[:64], path)
    if len(data) > _LARGEST:
        raise DataError(f"{path} is no YuNet, whose files have less than {_LARGEST >> 20} MiB", _ADVICE)
    return data


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep OpenCV's log off stderr: with each network it warns of targets that nothing was to use."""
    before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(before)
