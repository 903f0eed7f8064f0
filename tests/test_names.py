"""Names of files that are no UTF-8, as other systems leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from arcterm.runs import store
from arcterm.runs.events import Skipped, decode, encode

from .inprocess import enter

BAD = "bad\udcffname"


@pytest.mark.parametrize(
    "words",
    [("pack", BAD, "out"), ("bin", BAD, "x.bin"), ("check", BAD), ("index", BAD), ("extract", BAD, "out")],
)
def test_a_job_on_such_a_path_is_refused_in_words_and_leaves_nothing(monkeypatch, tmp_path, capsys, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)
    Path(BAD).mkdir()
    assert enter(monkeypatch, "data", *words) == 3
    assert "not UTF-8" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_the_command_line_of_a_run_is_kept_as_far_as_it_can_be(tmp_path):
    from .runs.conftest import config

    run = store.create(tmp_path, config(), label="x", argv=["arcterm", BAD], host="h")
    assert run.record.argv == ["arcterm", "bad\ufffdname"]


def test_an_event_of_such_a_file_is_written_as_far_as_it_can_be():
    event = Skipped(rank=0, index=1, source=BAD, reason=f"{BAD} is no image", count=1, total=2)
    read = decode(encode(event))
    assert isinstance(read, Skipped)
    assert (read.source, read.index) == ("bad?name", 1)
