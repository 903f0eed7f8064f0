"""The command line in an empty folder, for tests with real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.jobs import save_weights


@pytest.fixture
def arcterm(tmp_path):
    """``arcterm("identify", …)``: what the command prints, in ``tmp_path``."""
    env = {**os.environ, "ARCTERM_CACHE": str(tmp_path / "cache")}
    env.pop("ARCTERM_RUNS", None)

    def call(*words, code=0, **more):
        done = subprocess.run(
            [sys.executable, "-m", "arcterm", *map(str, words)],
            cwd=tmp_path,
            env=env | more,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    return call


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """The state of a small network with random weights."""
    return str(save_weights(tmp_path_factory.mktemp("weights") / "net.pth"))


def report(stdout):
    """What a job reports with ``--json``, without its time."""
    return json.loads(stdout) | {"seconds": 0}
