"""Synthetic trees of aligned images, in the shape of FaceScrub's and MegaFace's."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from arcterm.formats.images import encode_jpeg, encode_png
from tests.megaface.folders import FACESCRUB, MEGAFACE

LISTS = ("facescrub", "facescrub_list", "megaface", "megaface_list")


def face(seed: int, size: int = 112):
    """A coarse random picture."""
    pixels = np.random.default_rng(seed).integers(0, 255, (size // 14, size // 14, 3), np.uint8)
    return pixels.repeat(14, 0).repeat(14, 1)


def write_face(path: Path, seed: int, size: int = 112) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = face(seed, size)
    path.write_bytes(encode_png(pixels) if path.suffix == ".png" else encode_jpeg(pixels, 95))


def write_sets(folder: Path) -> dict[str, str]:
    """Write both trees and their lists; returns the options of an export that name them."""
    for root, names in (("fs", FACESCRUB), ("mf", MEGAFACE)):
        for number, name in enumerate(names):
            write_face(folder / root / name, number + 1000 * (root == "mf"))
        (folder / f"{root}.lst").write_text("".join(f"{name}\n" for name in names))
    places = [folder / name for name in ("fs", "fs.lst", "mf", "mf.lst")]
    return dict(zip(LISTS, map(str, places), strict=True))
