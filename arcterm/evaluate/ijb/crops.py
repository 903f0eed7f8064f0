"""IJB's loose crops, aligned by their five landmarks as they are read, and a sheet of some to look at.

A wrong alignment costs more than any loss gains: published threads report TARs lower by 8 to 40 points.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.errors import DataError
from arcterm.faces.similarity import warp
from arcterm.files import write_bytes
from arcterm.formats import images
from arcterm.formats.ijb.database import Faces
from arcterm.pictures.sheet import Tile, draw_sheet

SHOWN = 16
_QUALITY = 92


@dataclass(frozen=True)
class AlignedFaces:
    """The images of a database as `arcterm.features.pictures.Pictures`."""

    faces: Faces

    def __len__(self) -> int:
        return len(self.faces.names)

    def name(self, index: int) -> str:
        return self.faces.names[index]

    def pixels(self, index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Decode an image and move its landmarks to the template's places in `size` (height, width)."""
        name = self.faces.names[index]
        loose = images.decode(images.read_file(self.faces.folder / name, name), size=None, source=name)
        return warp(loose, self.faces.points[index], size, name)


def write_sheet(pictures: AlignedFaces, size: tuple[int, int], path: Path) -> None:
    """Write `SHOWN` aligned faces from all over the database as a JPEG."""
    tiles = []
    for index in np.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).astype(int).tolist():
        try:
            pixels = pictures.pixels(index, size)
        except DataError:
            continue  # it is named when it is embedded
        tiles.append(Tile(pixels, pictures.name(index), f"score {pictures.faces.scores[index]:.2f}"))
    title = f"{len(tiles)} of {len(pictures):,} images as the network sees them"
    write_bytes(path, images.encode_jpeg(draw_sheet(tiles, title, columns=8), _QUALITY))
