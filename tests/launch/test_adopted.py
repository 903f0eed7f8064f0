"""Files of others that become ours: once, and read once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from arcterm.launch import adopted


@pytest.fixture
def hashed(monkeypatch):
    """The files that were hashed; each adoption writes an empty file."""
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, name: read.append(file.name) or digest(file, name)
    )
    monkeypatch.setattr(adopted.child, "ask", lambda verb, request: Path(request["target"]).touch())
    return read


def test_a_file_is_hashed_once_until_it_changes(hashed, tmp_path):
    file = tmp_path / "teacher.pth"
    file.write_bytes(b"a")
    first = adopted.adopt({"file": str(file)}, tmp_path, "teacher", {})
    assert adopted.adopt({"file": str(file)}, tmp_path, "teacher", {}) == first
    assert adopted.adopt({"file": str(file)}, tmp_path, "start", {}) != first
    assert len(hashed) == 1
    file.write_bytes(b"b")
    os.utime(file, ns=(0, 0))
    assert adopted.adopt({"file": str(file)}, tmp_path, "teacher", {}) != first
    assert len(hashed) == 2
