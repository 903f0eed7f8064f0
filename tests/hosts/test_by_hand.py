"""The same command on each host: who makes the run, who joins it, and who may not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from arcterm.runs import state, store
from tests.e2e.conftest import pack, people  # noqa: F401

from .test_two_hosts import PATIENCE, wait

pytestmark = pytest.mark.slow

TRAIN = (
    "arcterm", "train", "tiny", "cosface", "--batch-size", "6", "--steps", "40", "--nproc", "1",
    "--checkpoint-every", "20", "--verify-every", "40",
)  # fmt: skip
PLACE = ("--nnodes", "2", "--rdzv", "10.77.0.1:29400")


def the_run(folder: Path) -> store.Run:
    """The only run of a folder, once it is made."""
    wait(lambda: list(folder.glob("runs/2*/state.json")), "no run is made")
    (path,) = folder.glob("runs/2*")
    return store.Run(path)


@pytest.mark.cluster
def test_each_host_gives_the_same_command(hosts, pack, tmp_path):  # noqa: F811
    first, second = hosts
    words = (*TRAIN, "--dataset", str(pack), *PLACE, "--plain")
    joining = second.python(*words, folder=tmp_path)
    wait(lambda: "can't be reached: Connection refused; trying for" in second.log(tmp_path))
    assert "asking 10.77.0.1:29400 from 10.77.0.2 which run it is, for 120 s at most" in second.log(tmp_path)
    making = first.python(*words, folder=tmp_path)
    assert (making.wait(PATIENCE), joining.wait(PATIENCE)) == (0, 0), second.log(tmp_path)
    run = the_run(tmp_path)
    assert run.config.hosts == run.config.nproc == 2
    assert "takes part in" in second.log(tmp_path)
    wait(lambda: not first.pids() and not second.pids())
    resumed = ["arcterm", "resume", run.id, "--nnodes", "1", "--nproc", "2", "--steps", "60", "--json"]
    done = subprocess.run(
        first.argv(sys.executable, "-m", *resumed), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["step"], told["config"]["hosts"], told["config"]["nproc"]) == (60, 1, 2)


@pytest.mark.cluster
@pytest.mark.long
def test_what_does_not_fit_is_refused_in_words_on_both_sides(hosts, pack, people, tmp_path):  # noqa: F811
    first, second = hosts
    words = (*TRAIN, "--dataset", str(pack), *PLACE, "--plain")
    alone = ("arcterm", "train", "tiny", "cosface", *PLACE[:2])
    nowhere = first.python(*alone, folder=tmp_path)
    assert nowhere.wait(PATIENCE) == 2
    assert "give --rdzv HOST:PORT on each" in first.log(tmp_path)
    listening = "import socket; socket.create_server(('10.77.0.1', 29400)).accept()"
    busy = first.start(sys.executable, "-c", listening, folder=tmp_path)
    wait(lambda: "10.77.0.1" in first.listening())
    taken = first.python(*words, folder=tmp_path)
    assert taken.wait(PATIENCE) == 4
    assert "10.77.0.1:29400 is in use by another program" in first.log(tmp_path)
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("2*"))
    busy.kill()
    first.python(*words, folder=tmp_path)
    run = the_run(tmp_path)

    def refused(says: str, *command: str, **env: str) -> None:
        """Join, and be refused with these words, which the first host has too."""
        joining = second.python(*(command or words), folder=tmp_path, env=env)
        assert joining.wait(PATIENCE) != 0
        assert says in second.log(tmp_path).replace("\n", " ")

    def noted(says: str) -> None:
        wait(lambda: says in state.read_state(run).reason, says)

    refused("lr 0.3 instead of 0.02", *words, "--lr", "0.3")
    noted("other settings were asked for there: lr 0.3 instead of 0.02")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    refused("must be storage that every host shares", *words, "--runs-dir", str(elsewhere))
    noted("does not find the run in its directory of runs")
    copied = elsewhere / run.id
    shutil.copytree(run.path, copied)
    key = json.loads((copied / "link.json").read_text())
    (copied / "link.json").write_text(json.dumps(key | {"key": "0" * 64}))
    refused("does not prove that it reads the run's directory", *words, "--runs-dir", str(elsewhere))
    noted("does not prove that it reads the run's directory")
    others = tmp_path / "others"
    made = ["arcterm", "data", "pack", str(people), str(others), "--hold-out", "5", "--pairs", "60"]
    subprocess.run(
        [sys.executable, "-m", *made, "--runs-dir", str(tmp_path / "jobs")], check=True, capture_output=True
    )
    mounted = second.start(
        *("sh", "-c", 'mount --bind "$1" "$2"; shift 2; exec "$@"', "sh", str(others), str(pack)),
        *(sys.executable, "-m", *words),
        folder=tmp_path,
    )
    assert mounted.wait(PATIENCE) != 0
    assert "its data is not that of the run" in second.log(tmp_path)
    noted("its data is not that of the run")
    late = tmp_path / "late"
    late.mkdir()
    (late / "sitecustomize.py").write_text("import time\nnow = time.time\ntime.time = lambda: now() + 60\n")
    refused("its clock is 60 s ahead of", *words, PYTHONPATH=str(late))
    noted("its clock is 60 s ahead of")
    other_torch = tmp_path / "other"
    other_torch.mkdir()
    (other_torch / "sitecustomize.py").write_text(
        "from importlib import metadata\nfound = metadata.version\n"
        "metadata.version = lambda name: '2.0' if name == 'numpy' else found(name)\n"
    )
    refused("numpy is 2.0 there and", *words, PYTHONPATH=str(other_torch))
    noted("numpy is 2.0 there and")
    stop = first.python("arcterm", "stop", run.id, folder=tmp_path)
    assert stop.wait(PATIENCE) == 0
    wait(lambda: not first.pids() and not second.pids())
