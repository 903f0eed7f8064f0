"""Photos with marks for faces, a detector that finds them, and the job in this process."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from arcterm_registry import PluginError

from arcterm.align import detection
from arcterm.align.job import align
from tests.align.marks import COLOUR, DECLARED, Marks
from tests.jobs import make_job

OPTIONS = {
    "preset": "folder",
    "detector": "marks",
    "weights": "",
    "faces": "one",
    "size": 32,
    "boxes": "",
    "set": "",
}


def photo(*boxes, size=(80, 60), shade=90):
    """uint8 RGB (H, W, 3): grey, with a mark of each x, y, side."""
    pixels = np.full((*size, 3), shade, np.uint8)
    for x, y, side in boxes:
        pixels[y : y + side, x : x + side] = COLOUR
    return pixels


def write(path, pixels):
    """Write an image file, in folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels[:, :, ::-1]))
    return path


def read(path):
    return np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])


def tree(folder):
    """Every file below a folder, with its bytes."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(autouse=True)
def detectors(monkeypatch):
    """The registered detectors are those of `marks`; which a test may change."""
    declared = dict(DECLARED)

    def get(kind, name):
        if name not in declared:
            raise PluginError(f"there is no {kind} {name!r}")
        return declared[name]

    def plugin(name):
        return SimpleNamespace(
            name=name, full_name=f"marks:{name}", unique_name=name, declaration=declared[name],
            distribution="marks", version="1.0",
        )  # fmt: skip

    monkeypatch.setattr(detection, "get", get)
    monkeypatch.setattr(detection, "scan", lambda kind: [plugin(name) for name in sorted(declared)])
    monkeypatch.setattr(detection, "locate", lambda kind, name: plugin(name))
    monkeypatch.setattr(Marks, "asked", [])
    return declared


@pytest.fixture
def run(tmp_path):
    """``run(src, preset="lfw")``: the report and the rows of an alignment into ``tmp_path / "out"``."""

    def call(src, dst=tmp_path / "out", job=None, **options):
        report = align(job or make_job("align"), str(src), str(dst), **(OPTIONS | options))
        rows = [json.loads(line) for line in (Path(dst) / "align.jsonl").read_text().splitlines()]
        return report, {row["path"]: row for row in rows}

    return call
