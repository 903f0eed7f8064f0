"""A training on two hosts ends in the same bits as on one, whatever happens on the way."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import psutil
import pytest

from arcterm.launch import start
from arcterm.launch.plan import make_plan
from arcterm.runs import state
from arcterm.runs.checkpoints import list_checkpoints
from arcterm.runs.describe import describe
from arcterm.runs.reader import Reader
from arcterm.runs.store import Run
from tests.e2e.conftest import pack, people  # noqa: F401

pytestmark = pytest.mark.slow

PATIENCE = 180.0
STEPS = 60


@pytest.fixture
def made(tmp_path, pack) -> Callable[..., Run]:  # noqa: F811
    """``made(hosts=2)``: a training of two ranks that nothing has started yet."""
    settings = {
        **{"backbone": "tiny", "loss": "cosface", "nproc": 2, "batch_size": 6, "steps": STEPS},
        "dataset": str(pack),
        **{"checkpoint_every": 10, "verify_every": STEPS},
    }
    plan = make_plan(settings, None, tmp_path / "runs")

    def make(**changes) -> Run:
        config = msgspec.structs.replace(plan.config, **changes)
        return start._create(tmp_path / "runs", config, [], facts=plan.facts)

    return make


def digests(run: Run) -> dict[str, str]:
    """SHA-256 of the files of a run's last checkpoint."""
    path, _ = list_checkpoints(run)[-1]
    manifest = json.loads((path / "manifest.json").read_text())
    return {name: digest["sha256"] for name, digest in manifest["files"].items()}


def wait(until: Callable[[], object], what: str = "") -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def joins(host, run: Run, folder: Path, address: str = ""):
    """Run the command of launchers on a host, which others reach at its address or another one of it."""
    local = ["--local-addr", address or host.address]
    return host.python("arcterm.processes.host", str(run.path), *local, folder=folder)


def ranks_on(host) -> list[psutil.Process]:
    """The ranks that run on a host."""
    found = []
    for pid in host.pids():
        try:
            process = psutil.Process(pid)
            if "arcterm.processes.rank" in process.cmdline():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_a_rank_dies_and_the_run_ends_in_the_bits_of_one_host(made, hosts, tmp_path):
    alone, run = made(), made(hosts=2)
    first, second = hosts
    commands = [joins(first, run, tmp_path)]
    wait(lambda: "waits for 1 of 2 hosts" in state.read_state(run).reason)
    commands.append(joins(second, run, tmp_path))
    wait(lambda: list_checkpoints(run), first.log(tmp_path))
    for host in hosts:
        assert host.listening() <= {host.address, "127.0.0.1"}
    (victim,) = ranks_on(second)
    victim.kill()
    wait(lambda: all(command.poll() is not None for command in commands), first.log(tmp_path))
    assert [command.returncode for command in commands] == [0, 0], first.log(tmp_path)
    for host in hosts:
        assert not host.pids()
    told = describe(Reader(run))
    fallen = told["attempts"][0]["failure"]
    name = os.uname().nodename
    assert (fallen["rank"], fallen["signal"], fallen["host"]) == (1, "SIGKILL", f"{name}-2")
    launch = json.loads((run.attempt_dir(2) / "launch.json").read_text())
    assert [(host["address"], host["ranks"]) for host in launch["hosts"]] == [
        (first.address, [0]),
        (second.address, [1]),
    ]
    assert (run.attempt_dir(2) / "host-00001" / "agent.log").exists()
    assert not (run.path / "link.json").exists()
    reference = joins(first, alone, tmp_path)
    assert reference.wait(PATIENCE) == 0
    assert digests(run) == digests(alone)


def test_two_meet_at_an_ipv6_address(made, hosts, tmp_path):
    run, host = made(hosts=2, checkpoint_every=STEPS), hosts[0]
    commands = [joins(host, run, tmp_path, "[::1]")]
    wait(lambda: "waits for 1 of 2 hosts at [::1]:" in state.read_state(run).reason, host.log(tmp_path))
    commands.append(joins(host, run, tmp_path, "::1"))
    wait(lambda: len(ranks_on(host)) == 2, host.log(tmp_path))
    while commands[0].poll() is None:
        assert host.listening() <= {"[::1]", "127.0.0.1"}
    assert [command.wait(PATIENCE) for command in commands] == [0, 0], host.log(tmp_path)
    launch = json.loads((run.attempt_dir(1) / "launch.json").read_text())
    assert [(each["address"], each["ranks"]) for each in launch["hosts"]] == [("::1", [0]), ("::1", [1])]
    assert describe(Reader(run))["state"] == "done"
