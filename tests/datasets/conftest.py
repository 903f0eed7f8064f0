"""Real faces in the three shapes that data sets of files have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from arcterm.formats.images import Pixels, decode, encode_jpeg, resize
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.packwriter import write_pack

Locate = Callable[[str], Path]


@pytest.fixture(scope="session")
def faces(test_data: Locate) -> list[list[bytes]]:
    """ORL's 40 people, ten JPEG files of 112×112 each."""
    root = test_data("faces/orl/s1").parent

    def jpeg(path: Path) -> bytes:
        return encode_jpeg(resize(decode(path.read_bytes(), size=None, source=""), (112, 112)))

    return [[jpeg(root / f"s{n}" / f"{k}.pgm") for k in range(1, 11)] for n in range(1, 41)]


def make_pack(place: Path, people: Sequence[Sequence[bytes]], size: tuple[int, int] = (112, 112)) -> Path:
    """A pack of these people and a verification set, ``lfw.bin``, of two pairs of them."""
    with write_pack(place, size) as pack:
        for label, images in enumerate(people):
            for image in images:
                pack.add(image, label)
    a, b = people[0], people[1]
    write_pairs(place / "lfw.bin", [a[0], a[-1], a[0], b[0]], [True, False])
    return place


def make_folder(place: Path, people: dict[str, Sequence[bytes]]) -> Path:
    """A directory of each person's images."""
    for name, images in people.items():
        (place / name).mkdir(parents=True)
        for number, image in enumerate(images):
            (place / name / f"{number}.jpg").write_bytes(image)
    return place


def make_list(place: Path, people: dict[int, Sequence[bytes]], name: str = "train.lst") -> Path:
    """A list of aligned images in folders named by label."""
    make_folder(place, {str(label): images for label, images in people.items()})
    lines = [f"1\t{label}/{n}.jpg\t{label}\n" for label, images in people.items() for n in range(len(images))]
    (place / name).write_text("".join(lines))
    return place / name


def pixels(image: bytes | Pixels) -> Pixels:
    """RGB (112, 112, 3) of an image, whatever it is."""
    return decode(image, size=(112, 112), source="")


def quiet(done: int, total: int) -> None:
    """Progress to nobody."""


def counts(faces: object) -> list[int]:
    """Images of each class, by brute force, having compared them with what labels() says."""
    found = [faces[n].label for n in range(len(faces))]  # type: ignore[arg-type,index]
    assert faces.labels(quiet).tolist() == found  # type: ignore[attr-defined]
    return np.bincount(found, minlength=faces.classes).tolist()  # type: ignore[attr-defined]
