"""The cluster of the session, and what is handed in to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from arcterm_registry.contracts import Submission

from tests.slurm import cluster as slurm
from tests.slurm.cluster import Cluster


@pytest.fixture(scope="session")
def _session_cluster() -> Iterator[Cluster]:
    if why := slurm.missing():
        pytest.skip(why)
    with slurm.running() as cluster:
        yield cluster


@pytest.fixture
def cluster(_session_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that is idle, which this process's commands find; it is idle again and alone afterwards."""
    for name, value in _session_cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield _session_cluster
    _session_cluster.recover()
    _session_cluster.wait_for_the_last()


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
