"""Models of others turned into files of ours, once, in ``.models`` of the runs' directory."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcterm.processes import child

_FOLDER = ".models"


def adopt(place: Mapping[str, Any], root: Path, variant: str, request: Mapping[str, Any]) -> Path:
    """Write the model at a `place` of `inputs.models.locate` as a model file, unless that was done before.

    `variant` tells the ways apart in which the same content is written, `request` is that of the verb
    ``import`` beside place and target. Raises `ArctermError` if it can't be read.
    """
    source = Path(place.get("file") or place.get("params") or place["weights"])
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(variant.encode())
    path = root / _FOLDER / f"{source.stem}-{digest.hexdigest()[:16]}.safetensors"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        child.ask("import", {**request, "place": dict(place), "target": str(path)})
    return path.resolve()
