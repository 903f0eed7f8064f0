"""Reading ``run.json`` of format version 1, where verifications and data jobs had configs of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def upgrade(record: Any) -> Any:
    """The contents of ``run.json`` with the config in the present format."""
    config = record.get("config") if isinstance(record, dict) else None
    if not isinstance(config, dict) or "kind" in config or "job" not in config:
        return record
    rest = {key: value for key, value in config.items() if key != "job"}
    try:
        return record | {"config": _READERS[config["job"]](rest)}
    except (KeyError, TypeError, AttributeError):  # no config of version 1: the reader says what is wrong
        return record | {"config": rest | {"kind": str(config["job"])}}


def _training(config: dict[str, Any]) -> dict[str, Any]:
    return config | {"kind": "training"}


def _data(config: dict[str, Any]) -> dict[str, Any]:
    stops = "before its next item"
    return config | {"kind": "job", "name": config["task"], "group": "data", "stops": stops}


def _verification(config: dict[str, Any]) -> dict[str, Any]:
    checkpoint = Path(config["checkpoint"])
    step = int(checkpoint.name.partition("-")[2] or 0)
    train = {key: value for key, value in config["train"].items() if key != "job"}
    return config | {
        "kind": "job",
        "name": "verify",
        "group": "",
        "paths": [str(checkpoint.parent.parent)],
        "options": {"checkpoint": str(step)},
        "ranks": True,
        "stops": "when it is done",
        "resumes": False,
        "train": train | {"kind": "training"},
    }


_READERS = {"train": _training, "data": _data, "verify": _verification}
