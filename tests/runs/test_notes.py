"""Tags and a note of a run: kept beside it, whole or not at all."""

from __future__ import annotations

import pytest

from arcterm.errors import ConfigError, DataError
from arcterm.runs import notes, store
from arcterm.runs.notes import NONE, Notes


def test_notes_are_written_and_read(run):
    before = (run.path / "run.json").read_bytes()
    assert notes.read(run) == NONE
    made = NONE.with_tags(["old", "base"]).with_text(" two\nlines ")
    notes.write(run, made)
    assert notes.read(run) == Notes(tags=("base", "old"), text="two\nlines")
    assert (run.path / "run.json").read_bytes() == before
    notes.write(run, made.with_tags(["x"], ["old", "none"]))
    assert notes.read(run).tags == ("base", "x")
    notes.write(run, NONE)
    assert not (run.path / "notes.json").exists()
    assert [each.id for each in store.list_runs(run.path.parent)] == [run.id]


@pytest.mark.parametrize("tag", ["", "two words", "-x", "a,b", "x" * 41, "\x1b[31m"])
def test_what_can_be_no_tag_is_refused(tag):
    with pytest.raises(ConfigError, match="can't be a tag"):
        NONE.with_tags([tag])


def test_a_long_note_is_refused():
    with pytest.raises(ConfigError, match="at most 2,000 characters"):
        NONE.with_text("x" * 2001)


def test_damaged_notes_are_said_in_words(run):
    (run.path / "notes.json").write_text("{")
    with pytest.raises(DataError, match="is not what arcterm wrote"):
        notes.read(run)
    (run.path / "notes.json").unlink()
    (run.path / "notes.json").mkdir()
    with pytest.raises(DataError, match="it is no file"):
        notes.read(run)


def test_a_run_that_is_gone_has_none_and_takes_none(run):
    store.remove(run)
    assert notes.read(run) == NONE
    with pytest.raises(DataError, match="can't be written"):
        notes.write(run, Notes(tags=("x",)))
