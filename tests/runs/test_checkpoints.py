"""Checkpoints as readers see them: whole or not there."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import msgspec
import pytest

from arcterm.errors import DataError, RunError
from arcterm.files import read_json, write_json
from arcterm.runs import checkpoints, state
from arcterm.runs import manifest as manifests
from arcterm.runs.checkpoints import FileDigest, HeadShard, Manifest, name_of


def save(run, step, verification=None, content=b"weights"):
    folder = run.checkpoints / name_of(step)
    folder.mkdir()
    (folder / "backbone.safetensors").write_bytes(content)
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
        files={"backbone.safetensors": digest(content)},
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
    assert found.manifest.step == 1
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
    state.write_state(run, "failed")
    with pytest.raises(RunError, match="ended without a checkpoint") as raised:
        checkpoints.choose(run, "last")
    assert f"arcterm resume {run.id}" in raised.value.hint
    save(run, 1, {"a": 0.9})
    save(run, 2, {"a": 0.8})
    assert checkpoints.choose(run, "last")[1].step == 2
    assert checkpoints.choose(run, "best")[1].step == 1
    assert checkpoints.choose(run, "1")[1].step == 1
    save(run, 3, {"a": 0.9})
    assert checkpoints.choose(run, "best")[1].step == 1  # of equals the earliest, as it is shown
    with pytest.raises(RunError, match="no checkpoint '7'") as error:
        checkpoints.choose(run, "7")
    assert "1, 2, 3" in error.value.hint


def test_sweeping_removes_only_what_was_left_over(run):
    save(run, 1)
    for name in (".tmp-step-0000000002", ".del-step-0000000000"):
        (run.checkpoints / name).mkdir()
    checkpoints.sweep(run)
    assert [path.name for path in run.checkpoints.iterdir()] == [name_of(1)]


def digest(content):
    return FileDigest(size=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def real(run):
    """A checkpoint as a training writes it, of two ranks."""
    folder = run.checkpoints / name_of(300)
    folder.mkdir()
    files = {"backbone.safetensors": b"weights", "momentum.safetensors": b"moving"}
    files |= {f"head-{rank:05d}-of-00002.safetensors": b"rows" for rank in range(2)}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    manifests.create(
        folder,
        Manifest(
            format_version=2, step=300, epoch=2, samples=9600, seed=0, world_size=2, classes=1001,
            embedding_size=512, backbone="r50", loss="arcface", reason="verified", t=1764448810.25,
            verification={"lfw": 0.9955, "agedb_30": 0.9715},
            files={name: digest(content) for name, content in files.items()},
            head=[
                HeadShard(file="head-00000-of-00002.safetensors", lo=0, hi=500),
                HeadShard(file="head-00001-of-00002.safetensors", lo=500, hi=1001),
            ],
        ),
    )  # fmt: skip
    return folder


def flips(path, read):
    """How many of a file's single flipped bits `read` takes without a word, of how many."""
    whole, passed = path.read_bytes(), 0
    for bit in range(len(whole) * 8):
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            read(path)
            passed += 1
        except DataError:
            pass
    path.write_bytes(whole)
    return passed, len(whole) * 8


@pytest.mark.long
def test_every_flipped_bit_of_a_manifest_is_seen(real):
    path = real / "manifest.json"
    assert flips(path, lambda path: manifests.read(path.parent))[0] == 0
    passed, bits = flips(path, lambda path: read_json(path, Manifest))  # what does without the digest
    assert passed > bits / 20


def test_a_manifest_without_its_digest_is_damaged_unless_it_never_had_one(real):
    path = real / "manifest.json"
    body = path.read_text().rpartition(',\n  "digest"')[0] + "\n}\n"
    path.write_text(body)
    with pytest.raises(DataError, match="digest"):
        checkpoints.check(real)
    path.write_text(body.replace('"format_version": 2', '"format_version": 1'))
    assert checkpoints.check(real).step == 300


@pytest.mark.parametrize("cut", [0, 1, 40, 700, -2, -1])
def test_a_manifest_that_was_cut_is_damaged(real, cut):
    path = real / "manifest.json"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"manifest\.json is damaged"):
        checkpoints.check(real)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": 200}, "it says step 200 in a directory named step-0000000300"),
        (
            {"head": [HeadShard(file="head-00009-of-00002.safetensors", lo=0, hi=1001)]},
            "no digest of head-00009",
        ),
        ({"head": [HeadShard(file="momentum.safetensors", lo=1, hi=1001)]}, "class 0 is not where"),
        ({"head": [HeadShard(file="momentum.safetensors", lo=0, hi=1000)]}, "1000 classes of 1001"),
        ({"head": [HeadShard(file="momentum.safetensors", lo=0, hi=1002)]}, "1002 classes of 1001"),
        (
            {
                "head": [
                    HeadShard(file="momentum.safetensors", lo=lo, hi=hi) for lo, hi in ((0, 600), (500, 1001))
                ]
            },
            "class 600 is not where",
        ),
        ({"files": {"../x": FileDigest(size=0, sha256="0" * 64)}}, "no checkpoint has"),
        ({"files": {}}, "no digest of head-00000"),
    ],
)
def test_what_a_manifest_can_not_say(run, real, changes, said):
    """Also where its digest holds, as of one that a program wrote wrongly or that was copied elsewhere."""
    manifests.replace(real, msgspec.structs.replace(manifests.read(real), **changes))
    with pytest.raises(DataError, match="is damaged") as error:
        checkpoints.check(real)
    assert said in error.value.message
    assert steps(run) == []


def test_a_newer_arcterms_checkpoint_is_no_damage(run, real):
    manifests.replace(real, msgspec.structs.replace(manifests.read(real), format_version=3))
    with pytest.raises(RunError, match="newer arcterm"):
        checkpoints.newest_valid(run)
    assert real.is_dir()


def test_a_checkpoint_that_was_copied_away_may_have_any_name(real):
    assert checkpoints.check(real.rename(real.with_name("alone"))).step == 300


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.EACCES, errno.ESTALE, errno.ENOMEM])
@pytest.mark.parametrize("victim", ["manifest.json", "backbone.safetensors"])
def test_what_can_not_be_read_now_is_no_damage(run, monkeypatch, number, victim):
    old, new = save(run, 1), save(run, 2)
    plain = os.open

    def failing(path, *arguments, **options):
        if Path(path) == new / victim:
            raise OSError(number, os.strerror(number), str(path))
        return plain(path, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing)
        with pytest.raises(RunError, match="can't be read now") as error:
            checkpoints.newest_valid(run)
        assert os.strerror(number) in error.value.message
        assert checkpoints.retain(run, keep_last=1, keep_best=0) == []
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [old.name, new.name]
    assert checkpoints.newest_valid(run).path == new


def test_what_is_set_aside_is_said_with_what_is_taken_instead(run):
    save(run, 1)
    (save(run, 2) / "manifest.json").write_text("{}")
    (save(run, 3) / "backbone.safetensors").unlink()
    found = checkpoints.newest_valid(run)
    assert found.manifest.step == 1
    assert [note.partition(" is set aside")[0] for note in found.notes] == [name_of(3), name_of(2)]
    assert all(note.endswith("; it goes on from step-0000000001") for note in found.notes)
    assert "incomplete" in found.notes[0]
    assert checkpoints.newest_valid(run).notes == []


def test_all_damaged_needs_a_word_to_start_again(run):
    for step in (1, 2):
        (save(run, step) / "backbone.safetensors").write_bytes(b"wEights")
    for _ in range(2):
        with pytest.raises(RunError, match="is whole: ") as error:
            checkpoints.newest_valid(run)
        assert f"arcterm resume {run.id} --from-start" in error.value.hint
    assert len(steps(run)) == 2
    assert checkpoints.newest_valid(run, from_start=True).path is None
    assert steps(run) == []
    with pytest.raises(RunError, match="was set aside"):
        checkpoints.newest_valid(run)


def test_damaged_ones_are_not_counted_among_those_kept(run):
    for step, score in ((1, 0.9), (2, 0.7), (3, 0.6), (4, 0.5), (5, 0.4)):
        save(run, step, {"lfw": score})
    for step in (1, 4):
        (run.checkpoints / name_of(step) / "backbone.safetensors").write_bytes(b"wEights")
    assert checkpoints.retain(run, keep_last=2, keep_best=1) == []
    save(run, 6, {"lfw": 0.3})
    assert checkpoints.retain(run, keep_last=2, keep_best=1) == [name_of(3), name_of(4)]
    assert steps(run) == [1, 2, 5, 6]


def test_the_best_is_of_the_sets_that_were_verified_last(run):
    """A hard set that is set aside would make all that follow better by its absence."""
    save(run, 1, {"lfw": 0.9, "hard": 0.5})
    save(run, 2, {"lfw": 0.8})
    save(run, 3, {})
    assert checkpoints.choose(run, "best")[1].step == 1


def test_what_has_no_score_is_never_the_best(run):
    save(run, 1)
    with pytest.raises(RunError, match="an accuracy to be the best by") as error:
        checkpoints.choose(run, "best")
    assert "last or a step: 1" in error.value.hint


def test_a_damaged_newest_is_not_passed_over_in_silence(run):
    save(run, 1)
    (save(run, 2) / "manifest.json").write_text("{}")
    for which in ("last", "2", name_of(2)):
        with pytest.raises(DataError, match="is damaged") as error:
            checkpoints.choose(run, which)
        assert error.value.hint == "choose another step: 1"
