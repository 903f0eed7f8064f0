"""The photo of six faces, and where they are."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

CENTRES = np.array([[114, 332], [320, 214], [517, 339], [798, 414], [956, 130], [1173, 335]])
"""Middles of the six faces, in pixels from the left upper corner, from left to right."""


@pytest.fixture(scope="session")
def six_faces(test_data: Callable[[str], Path]) -> NDArray[np.uint8]:
    """A photo of 1280 by 886 pixels, RGB."""
    photo: Any = cv2.imread(str(test_data("mtcnn/six_faces.jpg")))
    return np.ascontiguousarray(photo[:, :, ::-1])


@pytest.fixture(scope="session")
def mtcnn_folder(test_data: Callable[[str], Path]) -> Path:
    """The folder of FaceNet's three files, and of two of InsightFace's."""
    return test_data("mtcnn/det1.npy").parent


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The folder of the three files in the wheel facenet-pytorch."""
    files = [file for file in metadata_files("facenet-pytorch") if file.name == "pnet.pt"]
    if not files:
        pytest.skip("facenet-pytorch is not installed: pip install --no-deps facenet-pytorch")
    return files[0].parent


def metadata_files(name: str) -> list[Path]:
    """The files of an installed distribution; none if it isn't."""
    try:
        return [Path(str(file.locate())) for file in metadata.files(name) or []]
    except metadata.PackageNotFoundError:
        return []
