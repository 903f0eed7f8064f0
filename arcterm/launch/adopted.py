"""Models of others turned into files of ours, once, in ``.models`` of the runs' directory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcterm import files
from arcterm.processes import child

_FOLDER = ".models"
_hashed: dict[str, Any] = {}
"""Hashes of contents, by stamp: a form asks at every change, and a teacher has a gigabyte."""


def adopt(place: Mapping[str, Any], root: Path, variant: str, request: Mapping[str, Any]) -> Path:
    """Write the model at a `place` of `inputs.models.locate` as a model file, unless that was done before.

    `variant` tells the ways apart in which the same content is written, `request` is that of the verb
    ``import`` beside place and target. Raises `ArctermError` if it can't be read.
    """
    source = Path(place.get("file") or place.get("params") or place["weights"])
    digest = _hash(source)
    digest.update(variant.encode())
    path = root / _FOLDER / f"{source.stem}-{digest.hexdigest()[:16]}.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        child.ask("import", {**request, "place": dict(place), "target": str(path)})
    return path.resolve()


def _hash(path: Path) -> Any:
    """Return a hash that has taken the file; it is read once, unless it changes."""
    stamp = repr(files.stamp([path], exact=True))
    if stamp not in _hashed:
        with path.open("rb") as file:
            _hashed[stamp] = hashlib.file_digest(file, "sha256")
    return _hashed[stamp].copy()
