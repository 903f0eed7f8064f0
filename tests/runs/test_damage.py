"""One damaged run costs one row: it is listed with the reason, shown, removed, and hides no other."""

from __future__ import annotations

import os
import shutil

import msgspec
import pytest

from arcterm.config import JobConfig
from arcterm.errors import DataError, RunError
from arcterm.files import read_json, stage_of
from arcterm.runs import state, store
from arcterm.runs.describe import describe
from arcterm.runs.reader import Reader
from arcterm.runs.reading.follow import Follower
from arcterm.runs.report import read_report
from arcterm.runs.state import State, check_whole, read_state, write_state
from arcterm.runs.store import Run

from .conftest import config


def truncated(path):
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])


def directory(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def loop(path):
    path.unlink()
    path.symlink_to(path)


def of(content):
    def write(path):
        path.write_bytes(content)

    return write


DAMAGES = {
    "truncated": truncated,
    "empty": of(b""),
    "binary": of(b"\x80\x02\x00\xff" * 9),
    "list": of(b"[]"),
    "null": of(b"null"),
    "foreign": of(b'{"hello": 1}'),
    "wrong types": of(b'{"state": 7, "host": [], "created": {}, "format_version": "x"}'),
    "deep": of(b"[" * 100_000),
    "directory": directory,
    "pipe": pipe,
    "loop": loop,
}


@pytest.fixture
def torn(run):
    """A run that is done, in all of its files."""
    state.take_ownership(run, 1, "local")
    write_state(run, "done", attempt=1, step=100)
    return run


@pytest.mark.parametrize("file", ["run.json", "state.json", "owner.json"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_file_is_a_state_with_a_reason(torn, file, damage):
    root = torn.path.parent
    other = store.create(root, config(), label="tiny-arcface", name="other", argv=[], host="h")
    damage(torn.path / file)
    found = Run(torn.path)
    assert [r.id for r in store.list_runs(root)] == [other.id, found.id]
    told = describe(Reader(found, check=True))
    assert told["state"] == "damaged" == read_state(found).state
    assert told["reason"].startswith(file) or "it has no run.json" in told["reason"]
    assert str(root) not in told["reason"]
    with pytest.raises(RunError, match="is damaged"):
        check_whole(found)
    assert store.find(root, found.id).id == store.find(root, str(found.path)).id == found.id
    store.check_name(root, "first-of-all")
    store.remove(found)
    assert [r.id for r in store.list_runs(root)] == [other.id]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"created": "yesterday"}, "'yesterday' is no time"),
        ({"created": "2026-01-01T00:00:00"}, "is no time"),
        ({"format_version": 99}, "was written by a newer arcterm"),
        ({"config": {"job": "train"}}, "missing required field"),
        ({"config": {"job": "dance"}}, "dance"),
    ],
)
def test_a_run_json_of_another_kind(torn, changes, said):
    told = msgspec.json.decode((torn.path / "run.json").read_bytes())
    (torn.path / "run.json").write_bytes(msgspec.json.encode(told | changes))
    assert said in describe(Reader(Run(torn.path), check=True))["reason"]


def test_a_config_that_refuses_its_values_is_damage(torn):
    told = msgspec.json.decode((torn.path / "run.json").read_bytes())
    told["config"] |= {"nproc": 0}
    (torn.path / "run.json").write_bytes(msgspec.json.encode(told))
    with pytest.raises(DataError, match=r"run\.json is not what arcterm wrote: nproc"):
        _ = Run(torn.path).record


def test_a_damaged_run_is_as_old_as_its_id_tells(run):
    (run.path / "run.json").write_text("{")
    found = Run(run.path)
    assert found.created.replace("-", "").replace(":", "")[:15] == run.id[:15]
    assert found.name == found.id


def test_a_run_without_run_json_is_damaged_and_what_is_called_otherwise_is_counted(run):
    root = run.path.parent
    (run.path / "run.json").unlink()
    for name in ("notes", "20269999T999999Z-r50-cosface-7f3a", ".models", ".new-x", ".del-x"):
        (root / name).mkdir()
    (root / "20261123T174403Z-r50-cosface-7f3a").write_text("a file")
    runs, others = store.scan(root)
    assert ([r.id for r in runs], others) == ([run.id], 3)
    assert describe(Reader(runs[0], check=True))["reason"] == "is not a run: it has no run.json"


@pytest.mark.parametrize(
    "damage", [directory, pipe, of(b"\x00\x01no event\n")], ids=["dir", "pipe", "binary"]
)
def test_event_files_that_cannot_be_read_are_named_and_the_others_read(torn, damage):
    (torn.events / "0001-r00000.jsonl").write_bytes(b"")
    (torn.events / "0001-r00001.jsonl").write_bytes(b"x\n")
    damage(torn.events / "0001-r00000.jsonl")
    follower = Follower(torn)
    assert follower.poll() == []
    told = describe(Reader(torn, check=True))
    if damage in (directory, pipe):
        assert follower.damaged.keys() == {"0001-r00000.jsonl"}
        assert told["state"] == "damaged"
        assert told["reason"].startswith("events/0001-r00000.jsonl is not what arcterm wrote: it is no file")
        assert told["corrupt_records"] == 1
    else:
        assert (told["state"], told["corrupt_records"]) == ("done", 2)


def test_events_that_are_no_directory(torn):
    shutil.rmtree(torn.events)
    torn.events.write_text("")
    assert describe(Reader(torn, check=True))["reason"] == "events can't be read: Not a directory"


@pytest.mark.parametrize("damage", [of(b"{}"), directory, pipe], ids=["foreign", "dir", "pipe"])
def test_a_damaged_manifest_hides_no_other_checkpoint_and_a_report_is_refused(torn, damage):
    folder = torn.checkpoints / "step-0000000001"
    folder.mkdir()
    for path in (folder / "manifest.json", torn.path / "report.json"):
        path.write_text("{}")
        damage(path)
    assert describe(Reader(torn, check=True))["checkpoints"] == []
    with pytest.raises(DataError, match=r"report\.json"):
        read_report(torn)


def test_of_a_run_that_is_a_link_the_link_goes(tmp_path, torn):
    root = torn.path.parent
    kept = tmp_path / "elsewhere" / torn.id
    kept.parent.mkdir()
    torn.path.rename(kept)
    torn.path.symlink_to(kept)
    assert [r.id for r in store.list_runs(root)] == [torn.id]
    store.remove(Run(torn.path))
    assert list(root.iterdir()) == []
    assert (kept / "state.json").is_file()
    torn.path.symlink_to(tmp_path / "nowhere")
    (found,) = store.list_runs(root)
    assert describe(Reader(found, check=True))["state"] == "damaged"
    store.remove(found)
    assert list(root.iterdir()) == []


def test_removing_a_job_by_a_link_leaves_what_it_began(tmp_path):
    job = JobConfig(name="pack", group="data", paths=[str(tmp_path / "in"), str(tmp_path / "out")])
    run = store.create(tmp_path / "runs", job, label="data-pack", argv=[], host="h")
    stage = stage_of(tmp_path / "out", run.id)
    stage.mkdir()
    link = tmp_path / "other" / run.id
    link.parent.mkdir()
    link.symlink_to(run.path)
    store.remove(Run(link))
    assert stage.is_dir()
    store.remove(run)
    assert not stage.exists()


def test_the_lock_of_a_damaged_run(run):
    (run.path / "owner.json").write_text("{")
    with state.lock(run):
        assert state.is_locked(run)
        with pytest.raises(RunError, match="another process"), state.lock(run):
            pass
    (run.path / "lock").unlink()
    (run.path / "lock").mkdir()
    assert not state.is_locked(run)


def test_json_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("arcterm.files._LARGEST", 10)
    (tmp_path / "state.json").write_text('{"state": "done"}')
    with pytest.raises(DataError, match="larger than"):
        read_json(tmp_path / "state.json", State)


def test_an_empty_name_means_no_run(run):
    with pytest.raises(RunError, match="no run ''"):
        store.find(run.path.parent, "")


def test_a_run_is_found_from_within(run, monkeypatch):
    monkeypatch.chdir(run.path / "events")
    assert store.find(run.path, "..").path == run.path.resolve()
    with pytest.raises(RunError, match="is not a run"):
        store.find(run.path, ".")
    with pytest.raises(RunError, match="no run"):
        store.find(run.path.parent, "x" * 5000)


def test_runs_in_a_file_that_is_no_directory(tmp_path):
    (tmp_path / "runs").write_text("")
    assert store.scan(tmp_path / "runs") == ([], 0)
