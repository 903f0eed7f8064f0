"""The wheel: two packages and nothing else."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.long
def test_the_wheel_holds_exactly_two_packages(tmp_path):
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(tmp_path), str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("arcterm-*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert top == {"arcterm", "arcterm_registry"}
    assert {"arcterm/py.typed", "arcterm_registry/py.typed"} <= set(names)
    assert any(name.endswith(".tcss") for name in names)
    templates = {str(path.relative_to(ROOT)) for path in (ROOT / "arcterm" / "scaffold").rglob("*.tmpl")}
    assert templates
    assert templates <= set(names)
