"""What is handed in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from arcterm_registry.contracts import Submission


@pytest.fixture
def submission(tmp_path: Path) -> Callable[..., Submission]:
    """``submission(hosts=2)``: what is handed in; its command prints where it runs."""

    def make(**changes: Any) -> Submission:
        usual: dict[str, Any] = {
            "run": "20261130T120000Z-tiny-arcface-1a2b",
            "name": "faces",
            "folder": tmp_path,
            "command": ["/usr/bin/python3", "-m", "arcterm.processes.host", str(tmp_path)],
            "hosts": 1,
            "ranks": 1,
            "gpus": 0,
            "threads": 1,
            "grace": 120.0,
        }
        return Submission(**usual | changes)

    return make
