"""MXNet as an oracle: real processes of it, in an environment of their own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
Oracle = Callable[[str, Path], None]


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """``oracle("records", folder)``: have MXNet add its part to a folder; skips where MXNet is absent."""
    environment = ROOT / ".venv-mxnet"
    if not (environment / ".installed").exists():
        pytest.skip("MXNet is not here; make test-mxnet installs it into .venv-mxnet and runs these")

    def run(verb: str, folder: Path) -> None:
        command = [environment / "bin" / "python", Path(__file__).with_name("oracle.py"), verb, folder]
        variables = {**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": ""}
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return run
