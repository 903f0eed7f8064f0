"""A data set for arcterm: pictures as arrays in one file.

``faces.npz`` holds `images` (N, H, W, 3) uint8 RGB and `labels` (N,), people numbered from 0; to verify with,
`pairs` (P, 2, H, W, 3) of people who aren't trained on, and `same` (P,) bool.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

from arcterm_registry import Dataset
from arcterm_registry.contracts import DatasetFacts, Record

arrays = Dataset(
    summary="Pictures as arrays in one file, faces.npz",
    factory="arcterm_arrays:Arrays",
    inspect="arcterm_arrays:inspect",
    needs=("faces.npz",),
)


class Arrays:
    """Records by index, the class count, and verification sets by name."""

    def __init__(self, path):
        import numpy as np

        self.file = Path(path) / "faces.npz"
        with np.load(self.file) as held:
            self.images, self.people = held["images"], held["labels"].astype(np.int64)
            self.verification = {}
            if "pairs" in held:
                pictures = list(held["pairs"].reshape(-1, *self.images.shape[1:]))
                self.verification["pairs"] = SimpleNamespace(images=pictures, same=held["same"].astype(bool))
        self.classes = int(self.people.max()) + 1

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return Record(self.images[index], int(self.people[index]), f"{self.file} image {index}")

    def labels(self, progress):
        return self.people


def inspect(path):
    """What a form shows before anything is launched."""
    faces = Arrays(path)
    return DatasetFacts(
        images=len(faces),
        classes=faces.classes,
        image_size=faces.images.shape[1:3],
        fingerprint=hashlib.sha256(faces.file.read_bytes()).hexdigest(),
        verification={name: len(pairs.same) for name, pairs in faces.verification.items()},
        problems=() if faces.verification else (f"{faces.file} has no pairs: accuracy can't be measured",),
    )
