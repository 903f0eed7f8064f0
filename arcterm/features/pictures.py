"""Pictures to embed: a number of them, each decoded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.formats import images


class Pictures(Protocol):
    """Numbered pictures; `pixels` is called from several threads at once."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """The picture's name in messages."""

    def pixels(self, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Decode it to RGB (H, W, 3) of exactly `size` (H, W); raises `DataError`."""


def reason(name: str, why: str) -> str:
    """Say of the picture `name` `why` it can't be used, once: most reasons name it."""
    return why if name in why else f"{name}: {why}"


@dataclass(frozen=True)
class FilePictures:
    """Image files `names` below `root`, of the size that a network takes unless they are to be `resized`."""

    root: Path
    names: Sequence[str]
    resized: bool = False

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return self.names[index]

    def pixels(self, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        name = self.names[index]
        pixels = images.decode(images.read_file(self.root / name, name), size=None, source=name)
        if pixels.shape[:2] == size:
            return pixels
        if self.resized:
            return images.resize(pixels, size)
        raise DataError(
            f"{name} is {pixels.shape[1]}×{pixels.shape[0]}, the model takes aligned {size[1]}×{size[0]}",
            "`arcterm align FOLDER ALIGNED` finds the faces in photos and aligns them",
        )
