"""Checkpoints as readers see them: whole or not there."""

from __future__ import annotations

import hashlib

import pytest

from arcterm.errors import DataError, RunError
from arcterm.runs import checkpoints
from arcterm.runs.checkpoints import FileDigest, Manifest, name_of
from arcterm.runs.files import write_json


def save(run, step, verification=None, content=b"weights"):
    folder = run.checkpoints / name_of(step)
    folder.mkdir()
    (folder / "backbone.safetensors").write_bytes(content)
    digest = FileDigest(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    manifest = Manifest(
        format_version=1,
        step=step,
        epoch=1,
        samples=step,
        seed=0,
        world_size=1,
        classes=2,
        embedding_size=4,
        backbone="b",
        loss="l",
        files={"backbone.safetensors": digest},
        head=[],
        verification=verification or {},
    )
    write_json(folder / "manifest.json", manifest)
    return folder


def steps(run):
    return [manifest.step for _, manifest in checkpoints.list_checkpoints(run)]


def test_only_whole_ones_are_listed(run):
    save(run, 1)
    save(run, 2)
    (run.checkpoints / ".tmp-step-0000000003").mkdir()
    (run.checkpoints / name_of(4)).mkdir()
    short = save(run, 5)
    (short / "backbone.safetensors").write_bytes(b"")
    assert steps(run) == [1, 2]


def test_the_newest_valid_one_is_used_and_a_damaged_one_put_aside(run):
    save(run, 1)
    damaged = save(run, 2)
    (damaged / "backbone.safetensors").write_bytes(b"wEights")  # the size is right, the bytes are not
    found = checkpoints.newest_valid(run)
    assert found is not None
    assert found[1].step == 1
    assert not damaged.exists()
    assert len(list(run.checkpoints.glob("step-0000000002.bad-*"))) == 1


def test_a_manifest_can_not_name_files_elsewhere(run):
    folder = save(run, 1)
    text = (folder / "manifest.json").read_text().replace("backbone.safetensors", "../../run.json")
    (folder / "manifest.json").write_text(text)
    with pytest.raises(DataError, match="no checkpoint has"):
        checkpoints.check(folder)


def test_the_newest_and_the_best_are_kept(run):
    for step, score in ((1, 0.7), (2, 0.9), (3, 0.8), (4, None), (5, 0.6), (6, 0.5)):
        save(run, step, {"lfw": score} if score else None)
    checkpoints.retain(run, keep_last=3, keep_best=1)
    assert steps(run) == [2, 4, 5, 6]
    checkpoints.retain(run, keep_last=3, keep_best=0)
    assert steps(run) == [4, 5, 6]


def test_choosing(run):
    with pytest.raises(RunError, match="no checkpoint yet"):
        checkpoints.choose(run, "last")
    save(run, 1, {"a": 0.9})
    save(run, 2, {"a": 0.8})
    assert checkpoints.choose(run, "last")[1].step == 2
    assert checkpoints.choose(run, "best")[1].step == 1
    assert checkpoints.choose(run, "1")[1].step == 1
    with pytest.raises(RunError, match="no checkpoint '7'") as error:
        checkpoints.choose(run, "7")
    assert "1, 2" in error.value.hint


def test_sweeping_removes_only_what_was_left_over(run):
    save(run, 1)
    for name in (".tmp-step-0000000002", ".del-step-0000000000"):
        (run.checkpoints / name).mkdir()
    checkpoints.sweep(run)
    assert [path.name for path in run.checkpoints.iterdir()] == [name_of(1)]
