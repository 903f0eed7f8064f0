"""Trees of FaceScrub and MegaFace as they are downloaded, of the people of ORL, with their lists."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

HEADER = "name\timage_id\tface_id\turl\tbbox\tsha256\n"
PEOPLE = ("Ann Lee", "Bo Diaz", "Cy Young", "Di Wu")
PROBES = 8
"""Of each of the people."""
X, Y, SCALE, SIZE = 70, 40, 2, (320, 340)


def photo(face: Path) -> tuple[NDArray[np.uint8], tuple[int, int, int, int]]:
    """A face of ORL somewhere on a larger photo, and its box: x1, y1, x2, y2."""
    pixels = cv2.imread(str(face))
    assert pixels is not None
    large = cv2.resize(pixels, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    height, width = large.shape[:2]
    canvas = np.full((*SIZE, 3), 90, np.uint8)
    canvas[Y : Y + height, X : X + width] = large
    return canvas, (X, Y, X + width, Y + height)


def write_facescrub(root: Path, orl: Path) -> tuple[Path, list[str]]:
    """Write photos, lists of boxes and the devkit's list; returns the photos' folder and aligned names."""
    lines, paths, ids = [], [], []
    for number, person in enumerate(PEOPLE, 1):
        for face in range(1, PROBES + 1):
            pixels, box = photo(orl / f"s{number}" / f"{face}.pgm")
            place = root / "downloaded" / person / f"{person}_{number}{face}.jpeg"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
            lines.append(f"{person}\t1\t{number}{face}\thttp://x\t{','.join(map(str, box))}\tff\n")
            paths.append(f"{person}/{person}_{number}{face}.jpeg".replace(" ", "_").replace(".jpeg", ".png"))
            ids.append(person.replace(" ", "_"))
    half = len(lines) // 2
    (root / "facescrub_actors.txt").write_text(HEADER + "".join(lines[:half]))
    (root / "facescrub_actresses.txt").write_text(HEADER + "".join(lines[half:]))
    write_list(root.parent / "facescrub_features_list.json", paths, ids)
    return root / "downloaded", paths


def write_megaface(root: Path, orl: Path, people: Sequence[int]) -> list[str]:
    """Write photos with box and landmarks beside each, and the devkit's list; returns their names."""
    names = []
    for person in people:
        for face in range(1, 6):
            pixels, (x1, y1, x2, y2) = photo(orl / f"s{person}" / f"{face}.pgm")
            name = f"{person:03d}/{person}@N00/{person}{face}_0.jpg"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(cv2.imencode(".jpg", pixels)[1].tobytes())
            eyes = {"1": (x1 + 58, y1 + 108), "0": (x1 + 122, y1 + 108), "2": (x1 + 90, y1 + 150)}
            described = {
                "bounding_box": {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1},
                "landmarks": {key: {"x": x, "y": y} for key, (x, y) in eyes.items()},
            }
            (root / f"{name}.json").write_text(json.dumps(described))
            names.append(name)
    write_list(root.parent / "megaface_features_list.json", names)
    return names


def write_list(path: Path, paths: Sequence[str], ids: Sequence[str] | None = None) -> None:
    path.write_text(json.dumps({"path": list(paths)} | ({"id": list(ids)} if ids else {})))
