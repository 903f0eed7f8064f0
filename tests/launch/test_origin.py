"""Which checkpoint a run begins with, and which it refuses."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, ConfigError, DataError, RunError
from arcterm.launch import origin, preflight
from arcterm.runs import checkpoints, store
from arcterm.runs.checkpoints import FileDigest, Manifest
from arcterm.runs.files import create_json

from ..runs.conftest import config

OPTIONS = {"embedding_size": 128, "dropout": 0.4}


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def run(root):
    return store.create(
        root, config(backbone_options=OPTIONS), label="tiny-softmax", name="softmax", argv=[], host="h"
    )


def save(run, step, text=b"weights"):
    folder = run.checkpoints / checkpoints.name_of(step)
    folder.mkdir()
    (folder / checkpoints.BACKBONE).write_bytes(text)
    digest = FileDigest(size=len(text), sha256=hashlib.sha256(text).hexdigest())
    manifest = Manifest(
        format_version=1, step=step, epoch=1, samples=1, seed=0, world_size=1, classes=5, embedding_size=128,
        backbone="tiny", loss="softmax", files={checkpoints.BACKBONE: digest}, head=[],
    )  # fmt: skip
    create_json(folder / checkpoints.MANIFEST, manifest)
    return folder


def find(text, root, backbone="tiny", options=OPTIONS):
    return origin.find(str(text), root, backbone, options)


def test_a_run_gives_its_newest_checkpoint_and_a_path_itself(run, root, monkeypatch):
    old, new = save(run, 10), save(run, 20)
    for text in ("softmax", run.id, run.path, "last"):
        assert find(text, root) == new
    assert find(old, root) == old
    monkeypatch.chdir(root.parent)
    assert find(f"./runs/{run.id}/ckpt/{old.name}", root) == old


def test_what_is_damaged_is_passed_over_or_refused_and_never_moved(run, root):
    old, new = save(run, 10), save(run, 20)
    (new / checkpoints.BACKBONE).write_bytes(b"weighty")
    assert find("softmax", root) == old
    with pytest.raises(DataError, match="is damaged"):
        find(new, root)
    (old / checkpoints.BACKBONE).write_bytes(b"weighty")
    with pytest.raises(RunError, match=r"no backbone to start with: .* is damaged"):
        find("softmax", root)
    assert sorted(p.name for p in run.checkpoints.iterdir()) == [old.name, new.name]


@pytest.mark.parametrize(
    ("backbone", "options", "said"),
    [
        ("r18", OPTIONS, "r18 dropout=0.4 embedding_size=128"),
        ("tiny", {**OPTIONS, "embedding_size": 64}, "tiny dropout=0.4 embedding_size=64"),
    ],
)
def test_another_backbone_is_refused_and_both_are_named(run, root, backbone, options, said):
    save(run, 10)
    with pytest.raises(ConfigError) as raised:
        find("softmax", root, backbone, options)
    assert said in raised.value.message
    assert "holds a backbone tiny dropout=0.4 embedding_size=128" in raised.value.message


def test_a_copied_checkpoint_is_known_by_its_backbone(run, root, tmp_path):
    alone = shutil.copytree(save(run, 10), tmp_path / "elsewhere" / "deep" / "alone")
    assert find(alone, root) == alone
    with pytest.raises(ConfigError, match=r"holds a backbone tiny, the new run's is r18"):
        find(alone, root, "r18")


@pytest.mark.parametrize("text", ["nothing", "./nothing", "/no/such/place"])
def test_what_is_not_there_is_an_error(root, run, text):
    with pytest.raises(RunError):
        find(text, root)


def test_a_run_without_a_checkpoint_says_so(root, run):
    with pytest.raises(RunError, match="softmax has no backbone to start with: it has no checkpoint yet"):
        find("softmax", root)


def test_a_manifest_of_something_else_is_an_error(root, tmp_path):
    (tmp_path / checkpoints.MANIFEST).write_text(json.dumps({"version": 3}))
    with pytest.raises(ArctermError, match=r"manifest\.json"):
        find(tmp_path, root)


def test_the_plan_holds_the_absolute_path(run, root, monkeypatch):
    from arcterm_registry.contracts import DatasetFacts

    saved = save(run, 10)
    facts = DatasetFacts(images=1000, classes=10, image_size=(112, 112), fingerprint="x")
    monkeypatch.setattr("arcterm.launch.preflight.inspect", lambda *_: facts)
    settings = {"backbone": "tiny", "loss": "triplet", "init_from": "softmax", "nproc": 1}
    plan = preflight.plan(settings, root=root)
    assert plan.config.init_from == str(saved)
    assert any(str(saved) in note for note in plan.notes)
    assert isinstance(plan.config, TrainConfig)
    assert "--init-from softmax" in preflight.command(settings)
    assert preflight.plan({**settings, "init_from": ""}, root=root).config.init_from == ""
