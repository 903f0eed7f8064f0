"""Small testing sets of the shape that TinyFace was published in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.io import savemat

from arcterm.formats.images import encode_jpeg, encode_png
from arcterm.formats.tinyface import SUBSETS

LISTS = ("probe_img_ID_pairs.mat", "gallery_match_img_ID_pairs.mat")
VARIABLES = (("probe_set", "probe_ids"), ("gallery_set", "gallery_ids"))


def write_list(path: Path, names: Sequence[str], people: Sequence[float], which: int = 0, **options) -> None:
    """A list as published: N×1 cells of names, N×1 numbers."""
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    keys = VARIABLES[which]
    savemat(path, {keys[0]: cells, keys[1]: np.array(people, np.float64).reshape(-1, 1)}, **options)


def write_lists(folder: Path, probes: Mapping[str, int], matches: Mapping[str, int], **options) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for which, listed in enumerate((probes, matches)):
        write_list(folder / LISTS[which], list(listed), list(listed.values()), which, **options)


def face(person: int, side: int, seed: int) -> np.ndarray:
    """A pattern that is a person's own in part, so that some are taken for others."""
    parts = [np.random.default_rng(key).integers(0, 255, (7, 7, 3)) for key in ((person,), (person, seed))]
    mixed = (0.5 * parts[0] + 0.5 * parts[1]).astype(np.uint8)
    return mixed.repeat(16, 0).repeat(16, 1)[:side, :side]


def make_tinyface(root: Path, people: int = 4, distractors: int = 9, side: int = 112) -> Path:
    """A set below ``root/Testing_Set``: two probes and one to three matches of each person."""
    folder = root / "Testing_Set"
    probes = {f"{person}_{n}.jpg": person for person in range(1, people + 1) for n in (1, 2)}
    matches = {
        f"{person}_{n}.jpg": person for person in range(1, people + 1) for n in range(3, 4 + person % 3)
    }
    write_lists(folder, probes, matches)
    names = [list(probes), list(matches), [f"{-n}_x.png" for n in range(1, distractors + 1)]]
    for subset, files in zip(SUBSETS, names, strict=True):
        (folder / subset).mkdir()
        for number, name in enumerate(files):
            person = abs(int(name.partition("_")[0])) + (1000 if subset == SUBSETS[2] else 0)
            pixels = face(person, side, number + len(name) + SUBSETS.index(subset) * 100)
            data = encode_png(pixels) if name.endswith(".png") else encode_jpeg(pixels)
            (folder / subset / name).write_bytes(data)
    return root
