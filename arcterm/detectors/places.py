"""The places where detectors' weights are looked for; nothing is downloaded."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

MTCNN_FILES = (
    ("det1.npy", "det2.npy", "det3.npy"),
    ("det1-0001.params", "det2-0001.params", "det3-0001.params"),
    ("pnet.pt", "rnet.pt", "onet.pt"),
)
"""The files of MTCNN's three networks, as FaceNet, InsightFace and facenet-pytorch name them."""
_WHEEL = "facenet-pytorch"


def folder() -> Path:
    """``arcterm/detectors`` in `XDG_DATA_HOME` or ``~/.local/share``; it need not exist."""
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "arcterm" / "detectors"


def find_yunet() -> Path | None:
    """`ARCTERM_YUNET`, or the last by name of ``face_detection_yunet*.onnx`` in `folder`."""
    if chosen := os.environ.get("ARCTERM_YUNET"):
        return Path(chosen).expanduser()
    return max(folder().glob("face_detection_yunet*.onnx"), default=None)


def find_mtcnn() -> Path | None:
    """`ARCTERM_MTCNN`, ``mtcnn`` in `folder`, or the folder of the files in the wheel facenet-pytorch.

    The wheel is found by its metadata and never imported.
    """
    if chosen := os.environ.get("ARCTERM_MTCNN"):
        return Path(chosen).expanduser()
    if _is_complete(own := folder() / "mtcnn"):
        return own
    try:
        files = metadata.files(_WHEEL) or []
    except metadata.PackageNotFoundError:
        return None
    holders = (Path(str(file.locate())).parent for file in files if file.name == MTCNN_FILES[-1][0])
    return next((holder for holder in holders if _is_complete(holder)), None)


def _is_complete(place: Path) -> bool:
    return any(all((place / name).is_file() for name in names) for names in MTCNN_FILES)
