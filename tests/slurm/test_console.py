"""The console on a login node: a run is seen in the queue, with what it waits for, and at work."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.e2e.tmux import Terminal
from tests.slurm.cluster import Cluster
from tests.slurm.site import Site, job

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("tmux") is None, reason="tmux is not installed: no real terminal to test in"
    ),
]


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Site:
    return Site(cluster, tmp_path)


@pytest.fixture
def terminal(site: Site) -> Iterator[Terminal]:
    opened = Terminal(SimpleNamespace(env=site.environ, folder=site.runs.parent))
    yield opened
    opened.close()


def test_a_run_is_seen_queued_and_running_and_queued_again(site, terminal):
    urgent = site.occupy()
    before, run = site.hand_in("before"), site.hand_in("wanted")
    terminal.run("tui")
    terminal.wait("2nd of 2", f"slurm {job(run)}: ")
    terminal.press("Enter")
    terminal.wait("[2 Dash]", "2nd of 2", f"queued slurm {job(run)}: ", "◌ queued")
    site("stop", before.id)
    site.cluster.ask("scancel", urgent)
    terminal.wait("▶ running")
    shown = terminal.wait("images/s")
    assert re.search(r"step [1-9]\d*/60  epoch 1/", shown), shown
    site.wait_for_checkpoint(run, 1)
    site.occupy()
    shown = terminal.wait("preempted, requeued", "◌ queued")
    assert "pid" not in shown
    assert "images/s" not in shown
    terminal.press("Escape")
    terminal.wait("[1 Runs]")
    shown = terminal.wait("preempted, requeued")
    assert "◌ queued" in shown
    assert "keeps training" not in shown
