"""The one command of launchers, with one host: whoever has the lock supervises, in the foreground."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from arcterm.errors import RunError
from arcterm.processes import host
from arcterm.runs import state
from tests.jobs import make_run


def command(run, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command of a launcher to its end."""
    argv = [sys.executable, "-m", "arcterm.processes.host", str(run.path), *options]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.slow
def test_it_supervises_to_the_end_and_says_where_it_is(tmp_path):
    people = tmp_path / "people"
    for person in ("ann", "bob"):
        (people / person).mkdir(parents=True)
        for picture in range(2):
            cv2.imwrite(str(people / person / f"{picture}.png"), np.full((112, 112, 3), 9, np.uint8))
    run = make_run(tmp_path, "pack", [str(people), str(tmp_path / "pack")])
    with state.lock(run):
        busy = command(run)
    assert busy.returncode == 4
    assert "is being run by" in busy.stderr
    done = command(run)
    assert (done.returncode, done.stdout) == (0, "")
    log = run.path / "attempts" / "0001" / "agent.log"
    assert f"attempt 1 on {os.uname().nodename}; {log}" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"{run.name} is done")
    assert state.read_state(run).state == "done"
    again = command(run)
    assert (again.returncode, again.stderr) == (0, f"{run.name} is done\n")
    assert run.attempts() == 1
    missing = command(type(run)(Path(tmp_path / "nowhere")))
    assert missing.returncode == 5
    assert "nowhere" in missing.stderr


def test_a_silent_host_is_waited_for_and_one_that_lives_is_not_doubled(tmp_path, monkeypatch):
    run = make_run(tmp_path, "pack")
    state.take_ownership(run, 1, "local")
    state.write_state(run, "running", attempt=1)
    owner = state.read_owner(run)
    elsewhere = msgspec.structs.replace(owner, host="elsewhere")
    (run.path / "owner.json").write_bytes(msgspec.json.encode(elsewhere))
    state.beat(run)
    said: list[str] = []
    monkeypatch.setattr(host.time, "sleep", lambda seconds: os.utime(run.path / "heartbeat"))
    with pytest.raises(RunError, match="its lock is free"):
        host._wait_for_silent_host(run, said.append)
    assert said[0].startswith("waiting ")
    assert "elsewhere" in said[0]
    os.utime(run.path / "heartbeat", (0, 0))  # as if its minute were over
    host._wait_for_silent_host(run, said.append)
    assert len(said) == 1
