"""The checks of `arcterm plugins check pytorchjob`, one test each, and calls of a stand-in for kubectl."""

import json
import os
import sys
from pathlib import Path

import pytest
from arcterm_registry import get
from arcterm_registry.conformance import checks
from arcterm_registry.contracts import Submission

KUBECTL = """\
#!{python}
import json, pathlib, sys
words, place = sys.argv[1:], pathlib.Path({place!r})
assert words[0] == "--namespace", words
verb, rest = words[3], words[4:]
with (place / "calls").open("a") as calls:
    calls.write(json.dumps([verb, *rest]) + "\\n")
if (place / "down").exists():
    sys.exit("the server could not be reached")
if verb == "create":
    job = json.load(sys.stdin)
    job["metadata"]["name"] = name = job["metadata"]["generateName"] + "x7k2p"
    (place / (name + ".json")).write_text(json.dumps(job))
    print("pytorchjob.kubeflow.org/" + name)
elif verb == "get":
    kind = rest[0]
    if kind == "pods":
        print((place / "pods").read_text() if (place / "pods").exists() else '{{"items": []}}')
    else:
        files = [place / f"{{name}}.json" for name in rest[1:] if not name.startswith("-")]
        found = [json.loads(file.read_text()) for file in files if file.exists()]
        print(json.dumps(found[0] if len(found) == 1 else {{"items": found}}) if found else "")
elif verb == "delete" and rest[0] != "pods":
    (place / f"{{rest[1]}}.json").unlink(missing_ok=True)
"""


@pytest.mark.parametrize("check", checks("launcher", "pytorchjob"), ids=str)
def test_conformance(check):
    check()


@pytest.fixture(autouse=True)
def kubectl(tmp_path, monkeypatch):
    """The folder in which a stand-in for kubectl has its jobs."""
    place = tmp_path / "cluster"
    place.mkdir()
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text(KUBECTL.format(python=sys.executable, place=str(place)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return place


def launcher(**options):
    given = {"namespace": "faces", "image": "arcterm:1", "claim": "faces", "hosts": 3, "gpus": 8}
    return get("launcher", "pytorchjob").make(**{**given, **options})


def submission(folder="/data/runs/20260101T000000Z-r50-arcface-00ff", **changed):
    command = ["python", "-m", "arcterm.processes.host", str(folder)]
    given = {"hosts": 3, "ranks": 8, "gpus": 8, "threads": 2, "grace": 60.0, **changed}
    return Submission(run=Path(folder).name, name="it's", folder=Path(folder), command=command, **given)


def test_it_is_submitted_waits_runs_and_is_deleted(kubectl):
    made = launcher()
    assert made.check(submission()) == []
    job = made.submit(submission())
    assert job == "arcterm-20260101t000000z-r50-arcface-00ff-x7k2p"
    manifest = json.loads((kubectl / f"{job}.json").read_text())
    specs = manifest["spec"]["pytorchReplicaSpecs"]
    assert {name: spec["replicas"] for name, spec in specs.items()} == {"Master": 1, "Worker": 2}
    (container,) = specs["Worker"]["template"]["spec"]["containers"]
    assert container["command"] == submission().command
    assert container["resources"]["limits"] == {"cpu": 16, "nvidia.com/gpu": 8}

    assert made.state([job, "gone"])["gone"].state == "unknown"
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    scheduled = {"type": "PodScheduled", "status": "False", "message": message}
    pod = {"metadata": {"labels": {"training.kubeflow.org/job-name": job}}, "spec": {}}
    (kubectl / "pods").write_text(json.dumps({"items": [pod | {"status": {"conditions": [scheduled]}}]}))
    assert (made.state([job])[job].state, made.state([job])[job].reason) == ("queued", message)

    manifest["status"] = {"conditions": [{"type": "Running", "status": "True"}]}
    (kubectl / f"{job}.json").write_text(json.dumps(manifest))
    (kubectl / "pods").write_text(json.dumps({"items": [pod | {"spec": {"nodeName": "n1"}}]}))
    assert (made.state([job])[job].state, made.state([job])[job].hosts) == ("running", ["n1"])
    made.stop(job, at_once=False)
    assert made.state([job])[job].state == "unknown"
    assert made.logs(job) == []


def test_what_is_missing_is_said_before_a_run_is_made(kubectl):
    found = launcher(image="", claim="Faces", mount="/elsewhere").check(submission())
    assert [text.partition(" → ")[2] for text in found] == [
        "give launcher.image",
        "give --runs-dir there, or another launcher.mount",
        "change launcher.claim",
    ]


def test_a_cluster_that_can_not_be_reached_is_no_unknown_job(kubectl):
    (kubectl / "down").touch()
    with pytest.raises(RuntimeError, match="kubectl get: the server could not be reached"):
        launcher().state(["arcterm-x"])
