"""A real cluster of Slurm, two nodes of this machine: runs wait, are disturbed, and end in the same bits."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from arcterm.launch import devices
from arcterm.runs import checkpoints, store
from arcterm.runs.state import read_state
from tests.inprocess import in_process
from tests.slurm import cluster as slurm
from tests.slurm.cluster import Cluster, wait_until
from tests.slurm.site import Place, Site, digests, job, processes

pytestmark = pytest.mark.cluster

HOSTILE = 'it\'s a "run" $(touch owned) 100%j\nnext'


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Site:
    return Site(cluster, tmp_path)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The digests of the training's weights where nothing disturbs it: on this machine, without Slurm."""
    return digests(Place(tmp_path_factory.mktemp("calm")).train("calm", "--plain"))


def test_a_run_that_is_preempted_twice_ends_in_the_same_bits(site, undisturbed):
    urgent = site.occupy()
    run = site.hand_in("wanted")
    queued = site.row(run)
    assert queued["state"] == "queued"
    assert queued["reason"].startswith(f"slurm {job(run)}: ")
    for attempt in (1, 2):
        site.cluster.ask("scancel", urgent)
        site.wait_for_checkpoint(run, attempt)
        urgent = site.occupy()
        assert "preempted, requeued" in site.wait(run, "queued")["reason"]
    site.cluster.ask("scancel", urgent)
    site.hasten()
    assert site.wait(run, "done", "failed", "lost")["state"] == "done", site.log(run)
    assert run.attempts() == 3
    assert digests(run) == undisturbed
    assert site.log(run).count("goes back into the queue") == 2


def test_what_a_cluster_does_not_have_is_found_before_anything_is_made(site, monkeypatch, capsys):
    arcterm = in_process(monkeypatch, capsys)
    data = ("--dataset", str(site.people), "--nproc", "1", "--batch-size", "8", "--runs-dir", str(site.runs))

    def refused(*options: str) -> str:
        words = [word for option in options for word in ("--set", f"launcher.{option}")]
        code, _, said = arcterm("train", "tiny", "arcface", *data, "--launcher", "slurm", *words)
        assert code == 2
        return said

    said = refused("partition=nope")
    assert "there is no partition nope" in said
    assert "the cluster has high, low, night" in said
    assert "low has 2 nodes, not 3" in refused("partition=low", "hosts=3")
    assert "Invalid feature specification" in refused("constraint=warp")
    assert "account can't be 'a b'" in refused("account=a b")
    code, shown, _ = arcterm("train", "tiny", "arcface", *data, "--launcher", "slurm", "--dry-run")
    assert code == 0
    assert "#SBATCH --job-name=arcterm-" in shown
    site.cluster.end("slurmctld")
    assert "Slurm does not answer" in refused("partition=low")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "no sbatch, squeue, scontrol, scancel on PATH" in refused()
    assert store.list_runs(site.runs) == []
    monkeypatch.undo()


@pytest.mark.long
def test_hostile_names_are_folders_and_nothing_else(cluster, tmp_path):
    folder = tmp_path / HOSTILE
    folder.mkdir()
    site = Site(cluster, folder)
    run = site.hand_in("plain", "--steps", "3")
    assert site.wait(run, "done", "failed", "lost")["state"] == "done", site.log(run)
    assert "is done" in site.log(run)
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.long
def test_a_run_is_stopped_in_the_queue_and_at_work(site):
    urgent = site.occupy()
    waiting = site.hand_in("waiting")
    assert site.row(waiting)["state"] == "queued"
    site("stop", "waiting")
    assert site.row(waiting)["state"] == "stopped"
    site.cluster.ask("scancel", urgent)
    run = site.hand_in("softly")
    site.wait_for_checkpoint(run, 1)
    site("stop", "softly")
    assert site.wait(run, "stopped")["step"] == checkpoints.newest_step(run)
    site.wait_for_idle()
    assert "queue" not in site.log(run)
    site("resume", "softly", "--detach")
    site.wait_for_checkpoint(run, 2)
    site("stop", "softly", "--now")
    site.wait(run, "stopped")
    wait_until(lambda: not processes(run), "the end of its processes")


@pytest.mark.long
def test_a_job_that_is_cancelled_saves_and_stays_stopped(site):
    run = site.hand_in("cancelled")
    site.wait_for_checkpoint(run, 1)
    site.cluster.ask("scancel", job(run))
    assert "SIGTERM" in site.wait(run, "stopped")["reason"]
    assert read_state(run).step == checkpoints.newest_step(run)
    site.wait_for_idle()


@pytest.mark.long
def test_the_time_limit_is_told_in_time_and_the_run_goes_on(site):
    # Slurm looks every half minute and tells as much too early: between 20 and 50 seconds after the start
    run = site.hand_in(
        "timed", "--set", "launcher.time=1", "--set", "launcher.signal=10", "--steps", "100000"
    )
    site.wait_for_checkpoint(run, 1)
    assert "out of time, requeued" in site.wait(run, "queued")["reason"]
    saved = checkpoints.newest_step(run) or 0
    assert saved > 0
    site.wait_for_checkpoint(run, 2)
    assert (checkpoints.newest_step(run) or 0) > saved
    site("stop", "timed")
    site.wait(run, "stopped")


@pytest.mark.long
def test_a_node_that_dies_gives_its_run_back_to_the_queue(site, undisturbed):
    run = site.hand_in("bereft", "--set", "launcher.nodelist=n1")
    site.wait_for_checkpoint(run, 1)
    site.cluster.end_node("n1")
    site.wait(run, "queued")
    site.cluster.start_node("n1")
    site.hasten()
    assert site.wait(run, "done", "failed")["state"] == "done", site.log(run)
    assert run.attempts() == 2
    assert digests(run) == undisturbed


@pytest.mark.long
def test_a_controller_that_is_gone_for_a_while_changes_nothing(site, undisturbed):
    run = site.hand_in("steady")
    site.wait_for_checkpoint(run, 1)
    site.cluster.end("slurmctld", signal.SIGKILL)
    asked = site("runs")
    assert "answer" in asked.stderr
    assert "running" in asked.stdout
    site.cluster.start_controller()
    site.hasten()
    assert site.wait(run, "done", "failed")["state"] == "done", site.log(run)
    assert digests(run) == undisturbed
    site.wait_for_idle()


@pytest.mark.long
def test_a_run_on_two_nodes_is_preempted_and_ends_in_the_same_bits(site, tmp_path_factory):
    calm = digests(Place(tmp_path_factory.mktemp("calm")).train("calm", "--nproc", "2", "--plain"))
    # sums depend on the number of threads: two ranks of one machine have half of its cores each
    threads = f"launcher.threads={max(1, devices.cores() // 2)}"
    run = site.hand_in("wide", "--set", "launcher.hosts=2", "--set", threads)
    site.wait_for_checkpoint(run, 1)
    urgent = site.occupy()
    assert "preempted, requeued" in site.wait(run, "queued")["reason"]
    site.cluster.ask("scancel", urgent)
    site.hasten()
    assert site.wait(run, "done", "failed", "lost")["state"] == "done", site.log(run)
    assert run.attempts() == 2
    assert digests(run) == calm


@pytest.mark.long
def test_a_job_on_ranks_goes_the_same_way(site, tmp_path):
    run = site.train("small", "--steps", "3", "--plain")
    pairs = tmp_path / "pairs.bin"
    site("data", "bin", str(site.people), str(pairs), "--pairs", "20", "--plain")
    urgent = site.occupy()
    site("verify", "small", str(pairs), "--launcher", "slurm", "--launcher-set", "partition=low", "--detach")
    verification = store.find(site.runs, "last")
    assert verification.id != run.id
    assert site.row(verification)["state"] == "queued"
    site.cluster.ask("scancel", urgent)
    assert site.wait(verification, "done", "failed", "lost")["state"] == "done", site.log(verification)
    assert "TAR" in site("show", verification.id).stdout


def test_two_clusters_in_a_row_leave_nothing():
    if why := slurm.missing():
        pytest.skip(why)
    for _ in range(2):
        with slurm.running() as cluster:
            assert "n[1-2]" in cluster.ask("sinfo")
            cluster.ask("sbatch", "--output=/dev/null", "--wrap=sleep 600")
            wait_until(lambda: "sleep 600" in "".join(cluster.strays()), "the job")
            with pytest.raises(TimeoutError, match="sleep 600"):  # of the job, which nobody has ended
                cluster.wait_for_the_last(0.0)
        assert cluster.left() == []
        assert not cluster.folder.exists()
