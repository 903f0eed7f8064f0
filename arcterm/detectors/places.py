"""The places where detectors' weights are looked for; nothing is downloaded."""

from __future__ import annotations

import os
from pathlib import Path


def folder() -> Path:
    """``arcterm/detectors`` in `XDG_DATA_HOME` or ``~/.local/share``; it need not exist."""
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "arcterm" / "detectors"


def find_yunet() -> Path | None:
    """`ARCTERM_YUNET`, or the last by name of ``face_detection_yunet*.onnx`` in `folder`."""
    if chosen := os.environ.get("ARCTERM_YUNET"):
        return Path(chosen).expanduser()
    return max(folder().glob("face_detection_yunet*.onnx"), default=None)
