"""What happens to hosts, agents and cables on the way: the run ends in the bits of one on one host."""

from __future__ import annotations

import json
import os
import shutil
import signal

import psutil
import pytest

from arcterm.runs import state
from arcterm.runs.checkpoints import list_checkpoints, newest_step
from arcterm.runs.describe import describe
from arcterm.runs.reader import Reader
from arcterm.runs.store import Run
from tests.e2e.conftest import pack, people  # noqa: F401

from .test_two_hosts import PATIENCE, digests, joins, made, ranks_on, wait  # noqa: F401

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.cluster]

LONG = 200
AGAIN = 4
"""How often TCP has sent something again when a cable has been out for some three seconds."""
SECOND = f"{os.uname().nodename}-2"


@pytest.fixture(scope="module")
def undisturbed() -> dict[int, dict[str, str]]:
    """Digests of runs on one host by their ranks, once they are made."""
    return {}


@pytest.fixture
def begun(hosts, made, tmp_path, undisturbed):  # noqa: F811
    """``begun(nproc=4)``: a run, begun by the first host and joined by the second; its undisturbed bits."""

    def begin(**changes) -> tuple[Run, dict[str, str]]:
        ranks = changes.get("nproc", 2)
        if ranks not in undisturbed:
            alone = made(steps=LONG, verify_every=LONG, nproc=ranks, batch_size=12 // ranks)
            assert joins(hosts[0], alone, tmp_path).wait(PATIENCE) == 0, hosts[0].log(tmp_path)
            undisturbed[ranks] = digests(alone)
        fields = {"hosts": 2, "steps": LONG, "verify_every": LONG, "batch_size": 12 // ranks, **changes}
        run = made(**fields)
        joins(hosts[0], run, tmp_path)
        wait(lambda: "waits for 1 of 2 hosts" in state.read_state(run).reason)
        joins(hosts[1], run, tmp_path)
        further(run)
        return run, undisturbed[ranks]

    return begin


def further(run: Run) -> None:
    """Wait until one more checkpoint is there than now."""
    before = newest_step(run) or 0
    wait(lambda: (newest_step(run) or 0) > before, state.read_state(run).reason)


def ended(run: Run, hosts, folder) -> list:
    """Wait for the end of a run and of all its processes; returns how its attempts ended."""
    wait(lambda: state.read_state(run).state not in state.LIVE)
    told = describe(Reader(run))
    assert told["state"] == "done", (told["reason"], hosts[0].log(folder), hosts[1].log(folder))
    wait(lambda: not hosts[0].pids() and not hosts[1].pids())
    return told["attempts"]


def processes(host, word: str) -> list[psutil.Process]:
    """Processes on a host with this word in their command."""
    found = []
    for pid in host.pids():
        try:
            process = psutil.Process(pid)
            if word in process.cmdline():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def test_an_agent_dies(begun, hosts, tmp_path):
    run, bits = begun()
    (agent,) = processes(hosts[1], "arcterm.processes.agent")
    agent.kill()
    first, last = ended(run, hosts, tmp_path)
    assert (first["state"], last["state"]) == ("failed", "done")
    assert first["reason"] == f"the launcher on {SECOND} was killed (SIGKILL)"
    assert digests(run) == bits


def test_a_host_dies_and_the_same_command_brings_it_back(begun, hosts, tmp_path):
    run, bits = begun()
    for pid in hosts[1].pids():
        os.kill(pid, signal.SIGKILL)
    wait(lambda: f"waits for 1 of 2 hosts at {hosts[0].address}" in state.read_state(run).reason)
    assert not ranks_on(hosts[0])
    joins(hosts[1], run, tmp_path)
    first, last = ended(run, hosts, tmp_path)
    assert first["failure"]["host"] == SECOND
    assert f"host {SECOND} was lost" in first["reason"]
    assert last["state"] == "done"
    assert digests(run) == bits


def test_the_cable_is_out_for_long(begun, hosts, tmp_path):
    run, bits = begun()
    hosts[1].cable("down")
    wait(lambda: not ranks_on(hosts[1]), "the ranks that are cut off end")
    wait(lambda: not ranks_on(hosts[0]), "and so do the others")
    wait(lambda: "waits for 1 of 2 hosts" in state.read_state(run).reason)
    hosts[1].cable("up")
    first, _ = ended(run, hosts, tmp_path)
    assert "silent for 15 s" in first["reason"]
    assert first["failure"]["host"] == SECOND
    assert digests(run) == bits


def test_the_cable_is_out_for_a_moment_and_the_run_goes_on(begun, hosts, tmp_path):
    run, bits = begun()
    hosts[1].cable("down")
    for host in hosts:  # the signs of life of both sides, and what the ranks exchange
        wait(lambda host=host: host.sent_again() >= AGAIN, "nothing gets through")
    hosts[1].cable("up")
    (attempt,) = ended(run, hosts, tmp_path)
    assert attempt["state"] == "done"
    assert "lost" not in hosts[0].log(tmp_path) + (run.attempt_dir(1) / "agent.log").read_text()
    assert digests(run) == bits


def test_one_host_goes_on_alone_in_the_bits_of_both(begun, hosts, tmp_path):
    run, bits = begun()
    for pid in hosts[1].pids():
        os.kill(pid, signal.SIGKILL)
    wait(lambda: "waits for 1 of 2 hosts" in state.read_state(run).reason)
    stop = hosts[0].python("arcterm", "stop", run.id, folder=tmp_path)
    assert stop.wait(PATIENCE) == 0, hosts[0].log(tmp_path)
    wait(lambda: not hosts[0].pids())
    assert newest_step(run) < LONG
    another = Run(tmp_path / "another" / run.id)
    shutil.copytree(run.path, another.path)

    def resume(copy: Run, *words: str) -> dict[str, str]:
        """Go on with both ranks on the first host; returns the digests of the end."""
        alone = ["--nnodes", "1", "--nproc", "2", "--runs-dir", str(copy.path.parent), "--plain"]
        command = hosts[0].python("arcterm", "resume", copy.id, *alone, *words, folder=tmp_path)
        assert command.wait(PATIENCE) == 0, hosts[0].log(tmp_path)
        assert (copy.config.hosts, copy.config.nproc) == (1, 2)
        assert list_checkpoints(copy)[-1][1].step == LONG
        return digests(copy)

    assert resume(run) == bits
    almost = repr(run.config.lr * (1 + 1e-6))
    assert resume(another, "--lr", almost) != bits
    wait(lambda: not hosts[0].pids() and not hosts[1].pids())


def test_the_supervisor_dies_and_nothing_is_left(begun, hosts, tmp_path):
    run, bits = begun()
    (supervisor,) = processes(hosts[0], "arcterm.processes.host")
    supervisor.kill()
    wait(lambda: not ranks_on(hosts[0]) and not ranks_on(hosts[1]))
    joins(hosts[0], run, tmp_path)  # the member on the other host comes back by itself
    wait(lambda: state.read_state(run).state in state.LIVE, hosts[0].log(tmp_path))
    ended(run, hosts, tmp_path)
    assert digests(run) == bits


def test_a_rank_that_hangs_is_named_with_its_host(begun, hosts, tmp_path):
    run, bits = begun(hang_seconds=3.0)
    (stopped,) = ranks_on(hosts[1])
    stopped.suspend()
    first, _ = ended(run, hosts, tmp_path)
    assert f"rank 1 on {SECOND} (process {stopped.pid}) is stopped (SIGSTOP): no step for" in first["reason"]
    assert (first["failure"]["rank"], first["failure"]["host"]) == (1, SECOND)
    assert digests(run) == bits


def test_sigterm_on_any_host_saves_and_stops_all(begun, hosts, tmp_path):
    run, _ = begun()
    (member,) = processes(hosts[1], "arcterm.processes.host")
    member.terminate()
    wait(lambda: state.read_state(run).state == "stopped")
    now = state.read_state(run)
    assert now.step == newest_step(run)
    assert now.reason == f"SIGTERM: checkpoint at step {now.step}"
    wait(lambda: not hosts[0].pids() and not hosts[1].pids())
    assert [host.started[-1].wait() for host in hosts] == [130, 130]


def test_an_elastic_run_goes_on_with_fewer_and_with_more(begun, hosts, tmp_path):
    run, _ = begun(least_hosts=1, most_hosts=2)
    for pid in hosts[1].pids():
        os.kill(pid, signal.SIGKILL)
    wait(lambda: run.config.hosts == 1)
    assert (run.config.nproc, run.config.accumulate, run.config.global_batch) == (1, 2, 12)
    further(run)
    joins(hosts[1], run, tmp_path)
    attempts = ended(run, hosts, tmp_path)
    assert [each["state"] for each in attempts] == ["failed", "stopped", "done"]
    assert (run.config.hosts, run.config.accumulate, run.config.global_batch) == (2, 1, 12)
    changes = json.loads((run.path / "history.json").read_text())
    assert [change["settings"]["hosts"] for change in changes] == [[2, 1], [1, 2]]
    assert list_checkpoints(run)[-1][1].step == LONG
