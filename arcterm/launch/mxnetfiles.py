"""MXNet's files that a run is to write beside its checkpoints: whether it can, and what they replace."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from arcterm.errors import ConfigError
from arcterm.text import first_of

_OF_2018 = re.compile(r"[rpds]\d+|m[12]|y1|i2")


def check(prefix: str, backbone: str, options: dict[str, Any]) -> str:
    """Return `prefix` made absolute; raises `ConfigError` where files of that backbone can't be written."""
    if not prefix:
        return ""
    output = options.get("output", "")
    if not _OF_2018.fullmatch(backbone) or output == "GNAP":
        what = f"backbone {backbone}" + f" with output {output}" * (output == "GNAP")
        raise ConfigError(
            f"{what} can't be written for MXNet: its symbols are those of the networks of 2018",
            "leave out --set mxnet_prefix (2018's --ckpt 0); `arcterm model export RUN` writes ONNX",
        )
    place = Path(prefix).expanduser().absolute()
    if prefix.endswith("/") or place.is_dir():
        raise ConfigError(f"mxnet_prefix {prefix} is a folder", f"name the files in it: {place / 'model'}")
    above = next(each for each in place.parents if each.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(f"{place}-0001.params can't be written: {above} can't be", "choose another prefix")
    return str(place.parent.resolve() / place.name)


def notes(prefix: str, save: str) -> list[str]:
    """Lines of a plan: what is written, and which files are there already."""
    if not prefix:
        return []
    place = Path(prefix)
    rule = "every verification" if save == "every" else "verifications that are worth it (0.99, 0.998)"
    lines = [f"mxnet     {place}-NNNN.params and -symbol.json, after {rule}"]
    pattern = re.compile(re.escape(place.name) + r"-(\d{4,}\.params|symbol\.json)")
    there = [each.name for each in sorted(place.parent.glob("*-*")) if pattern.fullmatch(each.name)]
    if there:
        lines.append(f"note      files of that prefix are there and will be replaced: {first_of(there, 3)}")
    return lines
