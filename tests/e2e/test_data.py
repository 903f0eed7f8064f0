"""Data jobs and what training makes of broken data, from the command line."""

from __future__ import annotations

import json
import shutil
import time

import psutil
import pytest

from arcterm.formats.pairs.binfile import read_pairs, write_pairs
from arcterm.formats.recordio.facepack import FacePack

from .conftest import PATIENCE

pytestmark = pytest.mark.slow
TRAIN = ("train", "plain", "cosface", "--nproc", "2", "--batch-size", "6", "--steps", "40")


@pytest.fixture
def damaged(arcterm, pack):
    """The pack with two of its 120 images made unreadable, and not a byte moved."""
    place = arcterm.folder / "damaged"
    shutil.copytree(pack, place)
    read, data = FacePack(pack), bytearray((pack / "train.rec").read_bytes())
    for index in (31, 77):
        at = data.find(bytes(read[index].image))
        data[at : at + 2] = b"XX"
    (place / "train.rec").write_bytes(data)
    return place


def test_broken_records_are_skipped_and_listed(arcterm, damaged):
    told = arcterm.json(
        *TRAIN, "--dataset", str(damaged), "--set", "max_broken=0.02", "--name", "on", "--verify-every", "40"
    )
    assert (told["state"], told["step"]) == ("done", 40)
    assert sorted(skipped["index"] for skipped in told["skipped"]) == [31, 77]
    assert all("CRC-32" in skipped["reason"] and skipped["total"] == 120 for skipped in told["skipped"])
    assert max(skipped["count"] for skipped in told["skipped"]) == 2
    listed = [json.loads(p.read_text()) for p in (arcterm.path("on") / "quarantine").iterdir()]
    assert sorted(entry["index"] for entry in listed) == [31, 77]
    assert "train.rec key 32 at byte" in next(e["reason"] for e in listed if e["index"] == 31)
    lines = arcterm("attach", "on", "--plain")
    assert "key 32" in lines.stdout and "of 120" in lines.stdout
    checked = arcterm("data", "check", str(damaged), code=3)
    assert "key 32" in checked.stdout and "key 78" in checked.stdout and "2 problems" in checked.stdout


def test_too_many_broken_records_end_the_run(arcterm, damaged):
    failed = arcterm(*TRAIN, "--dataset", str(damaged), code=5)
    assert "of 120 records can't be used, more than max_broken=0.001 allows" in failed.stderr
    assert "arcterm data check" in failed.stderr
    assert arcterm.show("last")["state"] == "failed"


def test_without_checksums_the_decoder_finds_them(arcterm, damaged):
    (damaged / "train.crc").unlink()
    told = arcterm.json(*TRAIN, "--dataset", str(damaged), "--set", "max_broken=0.02")
    assert sorted(skipped["index"] for skipped in told["skipped"]) == [31, 77]
    assert all("aren't a whole image" in skipped["reason"] for skipped in told["skipped"])


def test_a_killed_job_goes_on_where_it_was(arcterm, people):
    """Thirty copies of everybody, so that there is time to kill it: by itself, and after its supervisor."""
    for copy in range(30):
        for person in people.iterdir():
            shutil.copytree(person, arcterm.folder / "many" / f"{person.name}x{copy}")
    expected = arcterm.json("data", "pack", "many", "whole")
    job = arcterm.json("data", "pack", "many", "parts", "--detach")["id"]
    stage = arcterm.folder / f".parts.partial.{job}"
    deadline = time.monotonic() + PATIENCE
    while not (stage / ".places.jsonl").exists():
        assert time.monotonic() < deadline and not (arcterm.folder / "parts").exists()
    worker = _worker(job)
    supervisor = worker.parent()
    worker.kill()
    arcterm.wait(job, lambda told: told["attempt"] == 2 and told["phase"])
    assert "SIGKILL" in arcterm.show(job)["attempts"][0]["reason"]
    worker = _worker(job)
    supervisor.kill()
    psutil.wait_procs([worker], timeout=PATIENCE)
    assert arcterm.show(job)["state"] == "lost"
    assert not (arcterm.folder / "parts").exists() and stage.exists()
    image = next(path for path in (arcterm.folder / "many").rglob("*") if path.is_file())
    image.rename(arcterm.folder / image.name)
    refused = arcterm("resume", job, code=3).stderr
    assert "the data set changed since the run was made: images in" in refused
    assert f"`arcterm resume {job} --accept-changed-data`; or start a new run" in refused
    (arcterm.folder / image.name).rename(image)
    again = arcterm.json("resume", job)
    assert again | {"path": ""} == expected | {"path": ""}
    for file in sorted((arcterm.folder / "whole").iterdir()):
        assert (arcterm.folder / "parts" / file.name).read_bytes() == file.read_bytes()
    assert not stage.exists() and not (arcterm.path(job) / "work").exists()


def _worker(job):
    """The process that does a job."""
    (found,) = [
        process
        for process in psutil.process_iter()
        if "arcterm.processes.solo" in _words(process) and any(job in word for word in _words(process))
    ]
    return found


def _words(process):
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
        return []


def test_a_cut_picture_in_a_second_set_costs_that_set_alone(arcterm, people):
    arcterm("data", "pack", str(people), "pack", "--hold-out", "2", "--pairs", "20")
    pack = arcterm.folder / "pack"
    good = read_pairs(pack / "heldout.bin")
    images = [bytes(image) for image in good.images]
    write_pairs(pack / "second.bin", [images[0][:700], *images[1:]], good.same.tolist())
    (pack / "train.crc").unlink()
    done = arcterm(*TRAIN, "--dataset", "pack", "--name", "through", "--plain")
    assert (
        "verification set second is set aside, the run goes on without it: second.bin image 0" in done.stderr
    )
    told = arcterm.show("through")
    assert (told["state"], list(told["verification"]), list(told["set_aside"])) == (
        "done",
        ["heldout"],
        ["second"],
    )
    assert (
        told["checkpoints"]
        and "set aside         second: second.bin image 0" in arcterm("show", "through").stdout
    )
    verified = arcterm("verify", "through")
    assert "heldout" in verified.stdout and "second is set aside" in verified.stderr
