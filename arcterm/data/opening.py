"""The data set that a path means, reached through the registry."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from arcterm_registry import get, names
from arcterm_registry.contracts import FaceDataset
from arcterm_registry.declare import Dataset

from arcterm.errors import DataError


def kind_of(path: Path) -> str:
    """The name of the registered data set whose files `path` has: by a file's ending, or by what it needs.

    Raises `DataError` if none has.
    """
    declared = {name: get("dataset", name) for name in names("dataset")}
    kinds = {name: d for name, d in declared.items() if isinstance(d, Dataset) and d.takes_path}
    if path.is_file():
        fitting = [name for name, d in kinds.items() if path.suffix in d.suffixes]
    else:
        fitting = [
            name for name, d in kinds.items() if not d.suffixes and all((path / n).exists() for n in d.needs)
        ]
    if not fitting or not path.exists():
        raise DataError(
            f"{path} is no data set that is known here" if path.exists() else f"{path} does not exist",
            f"known: {', '.join(kinds)}",
        )
    return max(fitting, key=lambda name: len(kinds[name].needs))


def open_data(path: Path) -> FaceDataset:
    """The data set that `path` holds; raises `DataError`."""
    return cast(FaceDataset, get("dataset", kind_of(path)).load()(path))
