"""``arcterm data list``, ``data findings`` and ``data show --facts``: what is known of data sets."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from arcterm.config import TrainConfig, job_config
from arcterm.data.check.check import check
from arcterm.inputs import datafacts, known
from arcterm.runs import state, store
from arcterm.runs.context import JobContext
from arcterm.runs.journal import NullJournal
from arcterm.runs.report import write_report
from arcterm.runs.store import RecordedDataset
from arcterm.show import dataset
from arcterm.show.lines import width_of
from tests.data.checks import make_pack, pictures

from ..inprocess import enter


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A pack of four people, two of whom share a picture, with a grey image; and the run of its check."""
    folder = tmp_path_factory.mktemp("known")
    people = pictures()
    people[1][0], people[2][1] = people[0][0], np.full((112, 112, 3), 90, np.uint8)
    pack = make_pack(folder / "pack", people)
    run = store.create(
        folder / "runs", job_config("check", [pack], {}), label="data-check", argv=[], host="h"
    )
    write_report(run, check(JobContext(run, NullJournal(), threads=2), str(pack), "", True, False))
    state.write_state(run, "done", attempt=1)
    return pack, run


@pytest.fixture
def pack(made):
    return made[0]


@pytest.fixture
def checked(made, tmp_path):
    """The run of a check of `pack` that is done, in runs of its own."""
    path = tmp_path / "runs" / made[1].id
    shutil.copytree(made[1].path, path)
    return store.Run(path)


@pytest.fixture
def arcterm(tmp_path, monkeypatch, capsys):
    """``arcterm("data", …)``: stdout and stderr of a command on those runs."""
    for name in ("COLORTERM", "TERM", "ARCTERM_ASCII"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCTERM_RUNS", str(tmp_path / "runs"))

    def call(*arguments, code=0):
        assert enter(monkeypatch, *arguments) == code
        return capsys.readouterr()

    return call


def train_on(root, path, images):
    config = TrainConfig(
        backbone="tiny",
        loss="arcface",
        dataset="recordio",
        dataset_options={"path": path},
        device="cpu",
        nproc=1,
        gpus=[],
        batch_size=8,
        steps=1,
        epochs=1,
        lr=0.1,
    )
    facts = RecordedDataset(fingerprint="f", images=images, classes=7, verification={"lfw": 600})
    return store.create(root, config, label="tiny", argv=[], host="h", dataset=facts)


def test_known_data_sets_are_those_of_runs_and_of_packages(arcterm, checked, pack, tmp_path):
    train_on(tmp_path / "runs", "/gone/pack", 1000)
    found = {each["source"]: each for each in json.loads(arcterm("data", "list", "--json")[0])}
    assert found[str(pack)]["facts"]["by"] == "check"
    assert found[str(pack)]["facts"]["census"]["people"] == 4
    assert found["/gone/pack"]["known_by"] == "gone; trained on by 1 run"
    assert found["/gone/pack"]["facts"]["sets"][0]["pairs"] == 600
    assert found["demo"]["known_by"] == "comes with arcterm" and not {"lst", "union"} & set(found)
    shown = arcterm("data", "list")[0]
    assert "! 1 problem" in shown and "gone; trained on" in shown


def test_a_check_beats_what_a_training_recorded(checked, pack, tmp_path):
    train_on(tmp_path / "runs", str(pack), 999)
    entry = next(each for each in known.known_sources(tmp_path / "runs", ["/given"]) if each.trainings)
    assert entry.facts.images == 12 and entry.words == "trained on by 1 run"
    assert known.known_sources(tmp_path / "runs", ["/given"])[0].words == "gone; given"


def test_findings_come_with_their_faces(arcterm, checked, pack):
    found = json.loads(arcterm("data", "findings", str(pack), "--json")[0])["findings"]
    (shared,) = found["duplicate"]["named"]
    assert found["duplicate"]["problem"] and found["duplicate"]["title"] == "images that several people share"
    assert len(shared["faces"]) == 2 and all((checked.path / face).stat().st_size for face in shared["faces"])
    assert len(found["flat"]["named"][0]["faces"]) == 1
    shown = arcterm("data", "findings", str(pack), "--kind", "duplicate", "--width", "80")[0].splitlines()
    assert shown[0] == "images that several people share: 1" and len(shown) > 20
    assert "found: " in arcterm("data", "findings", str(pack), "--kind", "near", code=2)[1]


def test_without_a_check_the_command_that_makes_one_is_named(arcterm, pack):
    assert f"arcterm data check {pack}" in arcterm("data", "findings", str(pack), code=4)[1]


def test_facts_are_counted_from_the_data(arcterm, pack):
    facts = json.loads(arcterm("data", "show", str(pack), "--facts", "--json")[0])
    assert (facts["images"], facts["classes"], facts["image_size"]) == (12, 4, "112×112")
    assert facts["census"]["histogram"] == [[2, 3, 4]]
    assert facts["sets"][0] | {"problem": ""} == {
        "name": "set", "pairs": 20, "same": 10, "damaged": 0, "problem": ""
    }  # fmt: skip
    shown = arcterm("data", "show", str(pack), "--facts", "--width", "80")[0]
    assert "12 images  4 people  1 verification set" in shown and "2–3 █" in shown and "50% same" in shown
    alone = json.loads(arcterm("data", "show", str(pack / "set.bin"), "--facts", "--json")[0])
    assert (alone["images"], alone["census"], alone["sets"][0]["pairs"]) == (0, None, 20)


def test_a_report_that_is_not_ours_is_no_check(checked):
    facts = datafacts.of_check(checked, 0.0)
    inside = facts.findings["duplicate"].named[0]
    outside = datafacts.CheckedFinding(text="x", faces=["../../etc/passwd", "/etc/passwd", "faces/none.jpg"])
    assert len(datafacts.face_files(facts, inside)) == 2
    assert datafacts.face_files(facts, outside) == []
    (checked.path / "report.json").write_text('{"lines": [], "data": {"path": 3}}')
    assert datafacts.of_check(checked, 0.0) is None
    (checked.path / "report.json").write_text("{")
    assert datafacts.of_check(checked, 0.0) is None


@pytest.mark.parametrize("size", [(58, 4), (80, 9), (160, 30)])
def test_no_part_is_wider_or_taller_than_its_place(checked, tmp_path, size):
    width, height = size
    entries = known.known_sources(tmp_path / "runs", ["/data/" + "long\x1b[2J/" * 40])
    facts = next(each.facts for each in entries if each.facts)
    for lines in (
        dataset.sources(entries, 1, width, height, 0),
        dataset.overview(facts, width),
        dataset.histogram(facts, width, height),
        dataset.sets(facts, width, height),
        dataset.findings(facts, 3, width, height),
    ):
        assert len(lines) <= height
        assert all(width_of(line) <= width for line in lines)
        assert "\x1b" not in "".join(text for line in lines for text, _ in line)


def test_a_path_that_was_moved_is_still_listed(tmp_path, checked, monkeypatch):
    monkeypatch.setattr(known, "_exists", lambda path: False)
    entry = known.known_sources(tmp_path / "runs")[0]
    assert not entry.there and entry.words == "gone; checked"
