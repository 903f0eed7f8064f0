"""The data set that a path means, reached through the registry."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from arcterm_registry import get
from arcterm_registry.contracts import FaceDataset

from arcterm.sources import kind_of


def open_data(path: Path) -> FaceDataset:
    """The data set that `path` holds; raises `DataError`."""
    return cast(FaceDataset, get("dataset", kind_of(path)).load()(path))
