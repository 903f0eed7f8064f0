"""`arcterm plan`: a training on machines that are not here, by constants from a file."""

from __future__ import annotations

import json

import pytest

from arcterm.launch.estimate import footprint
from arcterm.launch.scaling import constants as files
from arcterm.launch.scaling import probes

from ..launch.test_estimate import FOUND
from ..launch.test_scaling import KNOWN, SENT
from .test_commands import arcterm

__all__ = ["arcterm"]
DATA = ("--classes", "1000000", "--images", "40000000")


@pytest.fixture(autouse=True)
def followed(monkeypatch):
    monkeypatch.setattr(footprint, "known", lambda *_: FOUND)
    monkeypatch.setattr(probes, "traffic", lambda config: SENT)


@pytest.fixture
def cluster(tmp_path):
    """A file of constants of a host with two GPUs."""
    machine = files.Machine(name="node1", processor="a CPU", cores=16, memory=80 << 30, gpus=2, gpu="a GPU")
    path = tmp_path / "node1.toml"
    files.write(path, files.msgspec.structs.replace(KNOWN, machine=machine, training={"backbone": "tiny"}))
    return str(path)


def test_hosts_of_a_file_are_planned_as_json(arcterm, cluster):
    code, out, err = arcterm(
        *("plan", "tiny", "arcface", *DATA, "--nnodes", "4", "--constants", cluster, "--json")
    )
    assert code == 0, err
    (found,) = json.loads(out)
    assert found["layout"] == {"hosts": 4, "ranks": 2}
    assert found["batch"] == {"rank": 128, "accumulate": 1, "global": 1024}
    assert [(one["first"], one["last"]) for one in found["head"]][::7] == [(0, 124_999), (875_000, 999_999)]
    assert found["need"]["total"] > 8 * 125_000 * 128
    assert found["step"]["total"] == pytest.approx(
        sum(found["step"][part] for part in found["step"] if part not in ("total", "known", "hidden"))
    )
    assert found["constants"]["machine"]["name"] == "node1"
    assert found["efficiency"] == pytest.approx(found["alone"]["total"] / found["step"]["total"])


def test_an_elastic_training_is_planned_on_its_least_and_its_most_hosts(arcterm, cluster):
    words = ("plan", "tiny", "arcface", *DATA, "--nnodes", "2:4", "--constants", cluster)
    code, out, err = arcterm(*words, "--json")
    assert code == 0, err
    least, most = json.loads(out)
    assert [each["layout"]["hosts"] for each in (least, most)] == [2, 4]
    assert least["batch"] == {"rank": 128, "accumulate": 2, "global": 1024}
    assert most["batch"] == {"rank": 128, "accumulate": 1, "global": 1024}
    assert len(least["head"]) == 4
    assert least["step"]["total"] > most["step"]["total"]
    assert "--nnodes 2:4" in most["command"]
    code, alone, err = arcterm(*words[:-3], "4", *words[-2:], "--json")
    assert code == 0, err
    (alone,) = json.loads(alone)
    assert {**alone, "command": most["command"]} == most
    code, out, err = arcterm(*words)
    assert code == 0, err
    of_two, of_four = out.split("\n\n")
    assert "hosts     2 hosts × 2 GPUs; 128 × 4 × 2 = 1,024 images a step" in of_two
    assert "hosts     4 hosts × 2 GPUs; 128 × 8 = 1,024 images a step" in of_four


def test_the_lines_say_where_the_numbers_are_from(arcterm, cluster):
    code, out, err = arcterm("plan", "tiny", "arcface", *DATA, "--nnodes", "2", "--constants", cluster)
    assert code == 0, err
    assert "hosts     2 hosts × 2 GPUs; 128 × 4 = 512 images a step" in out
    assert "constants measured on node1 (a CPU, 16 cores, 2 × a GPU)" in out
    assert "network: the data sheet" in out
    assert "unknown" not in out


def test_gpus_that_are_not_here_have_memory_and_no_time(arcterm):
    code, out, err = arcterm("plan", "tiny", "arcface", *DATA, "--gpus", "0-7", "--nnodes", "2")
    assert code == 0, err
    assert "hosts     2 hosts × 8 GPUs" in out
    assert "step      unknown" in out
    assert "unknown   the seconds of a step" in out
    assert "head      62,500 classes a rank" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--classes", "5"), "--images is missing"),
        ((*DATA, "--dataset", "demo"), "leave out one of them"),
        ((*DATA, "--nnodes", "0"), "--nnodes 0 is no number of hosts"),
        ((*DATA, "--nnodes", "4:2"), "--nnodes 4:2 falls"),
        ((*DATA, "--gpus", "0", "--batch-size", "5", "--nnodes", "3:4"), "can't be shared by 3 hosts"),
        ((*DATA, "--constants", "nowhere.toml"), "can't read nowhere.toml"),
    ],
)
def test_what_can_not_be_planned_is_refused_in_words(arcterm, words, said):
    code, _, err = arcterm("plan", "tiny", "arcface", *words)
    assert code == 2
    assert said in err


def test_constants_of_another_network_are_refused(arcterm, cluster):
    code, _, err = arcterm("plan", "r18", "arcface", *DATA, "--constants", cluster)
    assert code == 2
    assert "the constants are of tiny, and the plan is of r18" in err
