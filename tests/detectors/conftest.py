"""The photo of six faces, and where they are."""

from __future__ import annotations

from collections.abc import Callable
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
