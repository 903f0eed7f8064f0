"""Images as detectors take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def three_channels(image: NDArray[Any]) -> NDArray[np.uint8]:
    """`image` as uint8 RGB (H, W, 3): a grey one is repeated, an opacity left out.

    Both networks take other numbers of channels without a word and are then wrong by many pixels. Raises
    `ValueError` for what is no image of uint8.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3):
        raise ValueError(f"an image is uint8 (H, W, 3), not {image.dtype} {image.shape}")
    deep = image[:, :, None] if image.ndim == 2 else image
    if deep.shape[2] == 1:
        return np.repeat(deep, 3, axis=2)
    if deep.shape[2] not in (3, 4):
        raise ValueError(f"an image has 1, 3 or 4 channels, not {deep.shape[2]}")
    return deep[:, :, :3]
