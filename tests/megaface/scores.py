"""A MegaFace for tests of scoring, and everything about it computed at once, in plain float64."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WIDTH = 16
COUNT = 600
PEOPLE = {"A": 6, "B": 4, "C": 5, "D": 1, "E": 3}
PROBES = [f"{person}/{person}_{n}.png" for person, count in PEOPLE.items() for n in range(count)]
DISTRACTORS = [f"{n % 7:03}/{n % 11}@N0{n % 2}/{n}_0.jpg" for n in range(COUNT)]
SIZES = (10, 100, COUNT)
FARS = (1e-6, 1e-5, 1e-4, 1e-3)


def features(kind: str, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Normalised probes, those of a person alike, and distractors, some of which are probes' copies."""
    random = np.random.default_rng(seed)
    centers = {person: random.standard_normal(WIDTH) for person in PEOPLE}
    probes = np.stack([centers[name[0]] + 0.4 * random.standard_normal(WIDTH) for name in PROBES])
    distractors = random.standard_normal((COUNT, WIDTH))
    if kind == "quantised":
        probes, distractors = np.where(probes > 0, 1.0, -1.0), np.where(distractors > 0, 1.0, -1.0)
    if kind == "duplicates":
        distractors = distractors[random.integers(0, 60, COUNT)]
    distractors[random.integers(0, COUNT, 8)] = probes[random.integers(0, len(probes), 8)]
    probes[2] = probes[1]
    return unit(probes), unit(distractors)


def unit(rows: NDArray[np.float64]) -> NDArray[np.float32]:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def dot(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float64]:
    """All scores (n, m), in halves added to each other, which is the definition of a score."""
    terms = a.astype(np.float64)[:, None] * b.astype(np.float64)[None]
    while terms.shape[2] > 1:
        half = (terms.shape[2] + 1) // 2
        terms[:, :, : terms.shape[2] - half] += terms[:, :, half:]
        terms = terms[:, :, :half]
    return terms[:, :, 0]


def write_lists(folder: Path, sizes: tuple[int, ...] = ()) -> tuple[str, str]:
    """The lists of probes and of distractors, the second one also as the devkit's, of beginnings."""
    folder.mkdir(exist_ok=True)
    probes, distractors = folder / "facescrub_features_list.json", folder / "all.json"
    probes.write_text(json.dumps({"path": PROBES, "id": [name[0] for name in PROBES]}))
    distractors.write_text(json.dumps({"path": DISTRACTORS}))
    for size in sizes:
        name = f"megaface_features_list.json_{size}_1"
        (folder / name).write_text(json.dumps({"path": DISTRACTORS[:size]}))
    return str(probes), str(folder if sizes else distractors)


def brute_force(
    probes: NDArray[np.float32],
    distractors: NDArray[np.float32],
    removed: NDArray[np.bool_] | None = None,
    *,
    tie_wins: bool = False,
    names: list[str] = PROBES,
) -> dict[str, Any]:
    """Ranks, thresholds and rates of distractors, without any cleverness."""
    people = [name[0] for name in names]
    own, against = dot(probes, probes), dot(probes, distractors)
    if removed is not None:
        against[:, removed] = -np.inf
    ranks, traditional, genuine = [], [], []
    for p in range(len(names)):
        for g in range(len(names)):
            if p == g or people[p] != people[g]:
                continue
            score = own[p, g]
            firsts = [people.index(person) for person in dict.fromkeys(people) if person != people[p]]
            ahead = (against[p] > score) if tie_wins else (against[p] >= score)
            ranks.append(1 + int(ahead.sum()))
            traditional.append(ranks[-1] + sum(own[p, first] >= score for first in firsts))
            if p < g:
                genuine.append(score)
    return {
        "ranks": ranks,
        "traditional": traditional,
        "rates": {far: rates(np.array(genuine), against.ravel(), far) for far in FARS},
        "genuine": genuine,
        "impostors": against.ravel(),
    }


def rates(genuine: NDArray[np.float64], impostors: NDArray[np.float64], far: float) -> dict[str, tuple]:
    """Try every threshold: (TAR, FAR, accepted) by the at-most rule, and at the nearest attainable rate."""
    thresholds = [*np.unique(impostors[np.isfinite(impostors)]), -2.0]
    above = [len(each) - np.searchsorted(np.sort(each), thresholds, "right") for each in (impostors, genuine)]
    points = sorted(set(zip(*(each.tolist() for each in above), strict=True)))
    total = len(impostors)
    allowed = int(total * far + 1e-9)
    most = max(point for point in points if point[0] <= allowed)
    near = min(points, key=lambda point: (abs(point[0] / total - far), -point[0]))
    return {
        name: (accepted / len(genuine), false / total, false)
        for name, (false, accepted) in (("at_most", most), ("nearest", near))
    }


def write_packed_set(
    folder: Path, probes: NDArray[np.float32], distractors: NDArray[np.float32], seed: int = 5
) -> Path:
    """Packed features whose rows are in another order than the lists."""
    from tests.megaface.folders import write_packed

    order, other = (np.random.default_rng(seed).permutation(len(each)) for each in (probes, distractors))
    return write_packed(
        folder,
        {
            "facescrub": ([PROBES[n] for n in order], probes[order]),
            "megaface": ([DISTRACTORS[n] for n in other], distractors[other]),
        },
    )
