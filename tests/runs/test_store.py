"""Runs: made whole or not at all, found by every name they have."""

from __future__ import annotations

import datetime
import stat

import msgspec
import pytest

from arcterm.config import TrainConfig
from arcterm.errors import DataError, RunError
from arcterm.runs import store
from arcterm.runs.store import Run

from .conftest import config


def make(root, **changes):
    return store.create(root, config(), label="tiny-arcface", argv=[], host="h", **changes)


def test_a_run_is_found_by_id_name_path_and_last(run):
    root = run.path.parent
    for text in (run.id, "first", "last", str(run.path), run.id[:20], run.id[-4:]):
        assert store.find(root, text).id == run.id
    newer = make(root)
    assert store.find(root, "last").id == newer.id
    assert [r.id for r in store.list_runs(root)] == [newer.id, run.id]


def test_run_json_round_trips_and_is_private(run):
    assert Run(run.path).record == run.record
    assert run.config == config()
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700
    raw = msgspec.json.decode((run.path / "run.json").read_bytes())
    assert raw["config"]["kind"] == "training"
    assert raw["format_version"] == 2


def test_a_name_is_used_once(run):
    with pytest.raises(RunError, match="taken by"):
        make(run.path.parent, name="first")
    assert len(store.list_runs(run.path.parent)) == 1


def test_two_runs_of_one_second_have_ids_of_their_own(tmp_path, monkeypatch):
    digits = iter(["00a1", "00a1", "00a1", "00a2"])
    monkeypatch.setattr(store.secrets, "token_hex", lambda _: next(digits))
    second = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    made = [make(tmp_path, created=second).id[-4:] for _ in range(2)]
    assert made == ["00a1", "00a2"]


@pytest.mark.parametrize(
    "name", ["last", "../x", "a b", "-x", "x" * 101, "ü", "20261123T174403Z-r50-cosface-7f3a"]
)
def test_odd_names_are_refused_and_leave_nothing(tmp_path, name):
    with pytest.raises(RunError, match="can't name a run"):
        make(tmp_path / "runs", name=name)
    assert not (tmp_path / "runs").exists()


def test_what_is_no_run_is_said_to_be_none(tmp_path, run):
    root = run.path.parent
    (root / "junk").mkdir()
    with pytest.raises(RunError, match="is not a run"):
        store.find(root, "junk")
    with pytest.raises(RunError, match="is not a run"):
        store.find(root, str(tmp_path))
    with pytest.raises(RunError, match="no run 'nothing'") as error:
        store.find(root, "nothing")
    assert "arcterm runs" in error.value.hint
    assert [r.id for r in store.list_runs(root)] == [run.id]


def test_a_damaged_run_json_is_an_error_with_its_name(run):
    (run.path / "run.json").write_text("{}")
    with pytest.raises(DataError, match=r"run\.json is not what arcterm wrote"):
        _ = Run(run.path).record


def test_removing(run):
    store.remove(run)
    assert list(run.path.parent.iterdir()) == []


def test_an_unwritable_root_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="can't make a run"):
        make(tmp_path / "file" / "runs")


@pytest.mark.parametrize(("written", "read"), [(True, 0.5), (False, 0.0), (0.25, 0.25)])
def test_mirroring_was_yes_or_no(written, read):
    """A run of an older arcterm, which lacks the settings that came since."""
    settings = msgspec.to_builtins(config())
    for name in ("crop", "jitter", "jpeg", "decoded_cache", "max_broken"):
        del settings[name]
    found = msgspec.json.decode(msgspec.json.encode(settings | {"mirror": written}), type=TrainConfig)
    assert found.mirror == read and found.max_broken == 0.001
