"""Folders of features for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arcterm.formats.features.matrix import pack_feature
from arcterm.megaface import store
from arcterm.megaface.store import Facts, SetFacts, SetName

FACESCRUB = [f"P_{person}/P_{person}_{image}.png" for person in range(4) for image in (30, 4, 17)]
MEGAFACE = [f"{n % 3:03}/{n % 5}@N0{n % 2}/{n}_{n % 4}.jpg" for n in range(40)]


def unit_rows(count: int, width: int, seed: int = 0) -> NDArray[np.float32]:
    """Random normalised float32 rows."""
    found = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def write_packed(
    folder: Path,
    sets: Mapping[SetName, tuple[list[str], NDArray[np.float32]]],
    refused: Mapping[SetName, dict[str, str]] | None = None,
) -> Path:
    """Write a packed folder."""
    folder.mkdir(parents=True)
    facts = Facts(algo="r100", width=0)
    for which, (names, rows) in sets.items():
        np.save(folder / f"{which}.npy", rows)
        store.write_names(folder, which, names)
        facts.width = rows.shape[1]
        facts.sets[which] = SetFacts(count=len(names), refused=(refused or {}).get(which, {}))
    store.write_facts(folder, facts)
    return folder


def write_tree(root: Path, names: list[str], rows: NDArray[np.float32], ending: str = "_r100.bin") -> Path:
    """Write a tree of the devkit's files, as other programs leave it."""
    for name, row in zip(names, rows, strict=True):
        path = root / f"{name}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pack_feature(row))
    return root
