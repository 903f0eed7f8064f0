"""Resuming on data that is what it was, and on data that isn't."""

from __future__ import annotations

import hashlib
import json
import shutil

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from arcterm.cli.app import build
from arcterm.config import TrainConfig
from arcterm.errors import DataError
from arcterm.files import create_json
from arcterm.formats.images import encode_jpeg
from arcterm.formats.pairs.binfile import write_pairs
from arcterm.formats.recordio.packwriter import write_pack
from arcterm.launch import engine, samedata
from arcterm.launch.resume import resumption
from arcterm.runs import checkpoints, dataset, state, store
from arcterm.runs.checkpoints import Manifest
from arcterm.train.guards import data as guard

IMAGES = [encode_jpeg(np.full((112, 112, 3), 8 * n, np.uint8)) for n in range(24)]


def make_folder(place):
    for number, image in enumerate(IMAGES):
        file = place / f"person {number % 6}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(image)


def make_pack(place):
    with write_pack(place) as pack:
        for label in range(6):
            for image in IMAGES[label::6]:
                pack.add(image, label)


@pytest.fixture(params=["folder", "recordio"])
def run(request, tmp_path, monkeypatch):
    """A stopped training on 24 images of 6 people and a set, and `started`, who was submitted."""
    data = tmp_path / "data"
    (make_folder if request.param == "folder" else make_pack)(data)
    if request.param == "recordio":
        (data / "train.crc").unlink()
    write_pairs(data / "x.bin", [*IMAGES[:20]], [True, False] * 5)
    monkeypatch.setattr(engine, "submit", lambda run: started.append(run.id))
    started = []
    made = make_run(tmp_path / "runs", request.param, data)
    made.started = started
    return made


def make_run(root, kind, data):
    config = TrainConfig(
        backbone="tiny", loss="arcface", dataset=kind, dataset_options={"path": str(data)},
        device="cpu", nproc=1, batch_size=8, epochs=1, steps=3, lr=0.1,
    )  # fmt: skip
    facts = samedata.facts_of(config)
    made = store.create(
        root, config, label="x", argv=[], host="h", dataset=samedata.record_of(facts),
        set_aside=dict(facts.set_aside),
    )  # fmt: skip
    state.write_state(made, "stopped", attempt=1, step=1)
    return made


def data_of(run):
    return run.path.parent.parent / "data"


def cli(*arguments):
    return CliRunner().invoke(build(arguments), arguments)


def resume(run, *flags):
    return cli("resume", run.id, "--detach", *flags, "--runs-dir", str(run.path.parent))


def other_person(data):
    """Somebody else's images under the same names, or a pack of as many others."""
    if (data / "train.rec").exists():
        shutil.rmtree(data)
        with write_pack(data) as pack:
            for label in range(6):
                for image in IMAGES[5 - label :: 6]:
                    pack.add(image, label)
        (data / "train.crc").unlink()
        write_pairs(data / "x.bin", [*IMAGES[:20]], [True, False] * 5)
    else:
        (data / "person 5").rename(data / "a person")


def other_set(data):
    write_pairs(data / "x.bin", [*IMAGES[:20]], [False, True] * 5)


def another_set(data):
    write_pairs(data / "y.bin", [*IMAGES[:20]], [False, True] * 5)


def no_set(data):
    (data / "x.bin").unlink()


def cut_set(data):
    (data / "x.bin").write_bytes((data / "x.bin").read_bytes()[:900])


def test_moved_and_copied_data_is_the_same_data(run):
    data = data_of(run)
    data.rename(data.with_name("moved"))
    shutil.copytree(data.with_name("moved"), data)
    assert resume(run).exit_code == 0
    assert run.started == [run.id] and not (run.path / "data.json").exists()


@pytest.mark.parametrize("change", [other_person, other_set, another_set, no_set, cut_set])
def test_changed_data_is_refused_with_both_choices_and_accepted_on_demand(run, change):
    change(data_of(run))
    refused = resume(run)
    error = refused.exception
    assert isinstance(error, DataError) and error.exit_code == 3
    only_sets = "the images are the same, the verification sets are not"
    assert (only_sets in error.message) == (change is not other_person)
    assert f"arcterm resume {run.id} --accept-changed-data" in error.hint and "start a new run" in error.hint
    assert run.started == [] and not (run.path / "data.json").exists()

    assert resume(run, "--accept-changed-data").exit_code == 0
    assert run.started == [run.id]
    told = json.loads(cli("show", run.id, "--json", "--runs-dir", str(run.path.parent)).stdout)
    assert len(told["accepted"]) == 1 and told["dataset"]["fingerprint"] != run.record.dataset.fingerprint
    assert list(told["set_aside"]) == (["x"] if change is cut_set else [])
    state.write_state(run, "stopped", attempt=2, step=2)
    assert resume(run).exit_code == 0  # what was accepted is what it is compared with from now on


def test_other_people_can_not_be_accepted(run):
    data = data_of(run)
    shutil.rmtree(data)
    (make_folder if run.config.dataset == "folder" else make_pack)(data)
    if run.config.dataset == "folder":
        (data / "person 6").mkdir()
        (data / "person 6" / "1.jpg").write_bytes(IMAGES[0])
    else:
        (data / "train.crc").unlink()
        (data / "property").write_text("7,112,112")
    for flags in ((), ("--accept-changed-data",)):
        error = resume(run, *flags).exception
        assert isinstance(error, DataError)
        assert "of 7 people" in error.message and "class weights are of 6 people" in error.message
        assert "--accept" not in error.hint and "new run" in error.hint
    assert run.started == []


def test_too_few_images_can_not_be_accepted(tmp_path, monkeypatch):
    make_folder(tmp_path / "data")
    run = make_run(tmp_path / "runs", "folder", tmp_path / "data")
    for number in range(6, 24):
        (tmp_path / "data" / f"person {number % 6}" / f"{number}.jpg").unlink()
    with pytest.raises(DataError, match="6 images of 6 people, it had 24 of 6; a step takes 8 images"):
        resumption.prepare(run, accept_changed_data=True).start()


def test_what_was_known_of_the_old_data_is_put_aside(run):
    (run.path / "quarantine").mkdir()
    (run.path / "quarantine" / "0000000003.json").write_text("{}")
    folder = run.checkpoints / checkpoints.name_of(1)
    folder.mkdir()
    manifest = Manifest(
        format_version=1, step=1, epoch=1, samples=8, seed=0, world_size=1, classes=6, embedding_size=128,
        backbone="tiny", loss="arcface", files={}, head=[], t=5.0,
    )  # fmt: skip
    create_json(folder / checkpoints.MANIFEST, manifest)
    assert not dataset.accepted_since(run, manifest.t)
    other_set(data_of(run))
    resume(run, "--accept-changed-data")
    assert not (run.path / "quarantine").exists()
    assert dataset.accepted_since(run, manifest.t) and guard.feed_state(run, folder) == {}


def test_a_run_of_an_older_arcterm_is_compared_by_its_old_fingerprint(run):
    data = data_of(run)
    if run.config.dataset == "recordio":
        old = hashlib.sha256((data / "train.idx").read_bytes()).hexdigest()
    else:
        lines = [
            f"person {n % 6}/{n}.jpg\0{len(IMAGES[n])}\n" for n in sorted(range(24), key=lambda n: (n % 6, n))
        ]
        old = hashlib.sha256("".join(lines).encode()).hexdigest()
    told = json.loads((run.path / "run.json").read_text())
    told["dataset"]["fingerprint"] = old
    del told["set_aside"]
    (run.path / "run.json").write_text(json.dumps(told))
    run = store.Run(run.path)
    run.started = []
    other_set(data)  # which the old fingerprint didn't cover
    assert resume(run).exit_code == 0
    state.write_state(run, "stopped", attempt=2, step=2)
    if run.config.dataset == "recordio":
        (data / "train.idx").write_text("".join(reversed((data / "train.idx").read_text().splitlines(True))))
    else:
        (data / "person 5").rename(data / "a person")
    assert isinstance(resume(run).exception, DataError)


def test_a_set_that_has_become_readable_is_used_again(run):
    """As after an upgrade: the data is the same."""
    told = json.loads((run.path / "run.json").read_text())
    told["set_aside"], told["dataset"]["verification"] = {"x": "a protocol from the future"}, {}
    (run.path / "run.json").write_text(json.dumps(told))
    run = store.Run(run.path)
    resumption.prepare(run).start()
    assert dataset.set_aside(run) == {} and dataset.current(run).verification == {"x": 10}
    assert msgspec.to_builtins(dataset.history(run)[0])["accepted"] is False


def test_a_verification_says_that_the_data_changed_and_which_set_it_leaves_out(run):
    facts = samedata.facts_of(run.config)
    assert samedata.notes(run, facts) == []
    cut_set(data_of(run))
    said = samedata.notes(run, samedata.facts_of(run.config))
    assert "the data set changed since the run was made" in said[0] and "set x is set aside" in said[1]


def test_the_ranks_look_at_what_they_go_on_with(run):
    guard.check_same_content(run, run.config)
    other_person(data_of(run))
    with pytest.raises(DataError, match="changed since this attempt was started"):
        guard.check_same_content(run, run.config)


def test_class_weights_that_are_kept_for_other_people_are_named(run):
    def said():
        asked = msgspec.structs.replace(
            run.config, head="keep", pretrained=str(run.checkpoints / "step-0000000001")
        )
        return samedata.other_people(asked, samedata.facts_of(run.config))

    assert said() == ""
    other_person(data_of(run))
    assert "were made with other data" in said()
