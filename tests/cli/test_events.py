"""``arcterm events``: the lines of a run's event files, those that are none too."""

from __future__ import annotations

import json
import zlib

import pytest

from arcterm.runs import state, store
from arcterm.runs.events import KINDS, Gpus, Message, Rank, Step, encode
from arcterm.runs.journal import Journal
from arcterm.runs.reader import Reader

from ..inprocess import enter
from ..runs.conftest import config


def step(number, t, **changes):
    fields = {"epoch": 1, "loss": 5.0, "accuracy": 0.5, "angle": 60.0, "lr": 0.1, "images_per_second": 9.0}
    return Step(step=number, t=t, samples=number, data_wait=0.0, **fields | changes)


@pytest.fixture
def run(tmp_path):
    """A stopped run of two ranks with a broken line, one of no known kind and one that was cut off."""
    made = store.create(tmp_path / "runs", config(), label="x", argv=[], host="h", name="face")
    first, second = Journal(made.events, 1, 0), Journal(made.events, 1, 1)
    second.write(Rank(rank=1, cpu=1.0, memory=1, t=100.5))
    first.write(step(1, 100.0))
    first.write(step(2, 101.0, gradient_norm="nan"))
    first.write(Message(level="warning", text="\u202etxt.exe", t=102.0))
    for journal in (first, second):
        journal.close()
    path = made.events / "0001-r00000.jsonl"
    broken = path.read_bytes().replace(b'"step":2', b'"step":7')
    body = b'{"k":"later","t":103'
    unknown = b'%s,"crc":"%08x"}\n' % (body, zlib.crc32(body))
    path.write_bytes(broken + b"\x1b[2Jgarbage\n" + unknown + encode(Gpus(host="h", t=104.0))[:20])
    state.write_state(made, "stopped", attempt=1, step=2)
    return made


@pytest.fixture
def events(run, monkeypatch, capsys):
    """``events(*words)`` → (exit code, lines of stdout, stderr)."""

    def ask(*words):
        code = enter(monkeypatch, "events", str(run.path), *words)
        out, err = capsys.readouterr()
        return code, out.splitlines(), err

    return ask


def test_lines_of_all_ranks_come_by_time_and_corrupt_ones_are_marked(events):
    code, lines, said = events()
    assert code in (0, None)
    assert [line.split()[1] for line in lines] == ["r0", "r0", "r1", "r0", "r0", "r0", "r0"]
    assert "step 1  epoch 1  loss 5" in lines[0]
    assert "!corrupt" in lines[1] and "0001-r00000.jsonl:2 with a wrong checksum" in lines[1]
    assert "without a checksum: garbage" in lines[4]
    assert "of an unknown kind" in lines[5] and "cut off" in lines[6]
    assert "\x1b" not in "".join(lines) and "\u202e" not in "".join(lines)
    assert "4 event lines can't be read: 1 cut off, 1 of an unknown kind, 1 with a wrong checksum" in said


def test_json_gives_the_lines_as_they_are_written(events):
    lines = [json.loads(line) for line in events("--json")[1]]
    assert [line["k"] for line in lines] == ["step", "corrupt", "rank", "message", *["corrupt"] * 3]
    assert lines[0]["loss"] == 5.0 and lines[0]["crc"]
    assert lines[1]["reason"] == "with a wrong checksum" and '"step":7' in lines[1]["text"]
    assert lines[3]["text"] == "\u202etxt.exe"


def test_kinds_and_the_newest_are_chosen(events):
    assert [json.loads(line)["step"] for line in events("--kind", "step", "--json")[1]] == [1]
    assert len(events("--kind", "corrupt")[1]) == 4
    assert len(events("-k", "corrupt", "-k", "rank", "-n", "2")[1]) == 2
    code, _, said = events("--kind", "nonsense")
    assert code == 2 and all(kind in said for kind in (*KINDS, "corrupt"))


def test_following_ends_with_the_run(events, run, monkeypatch):
    journal = Journal(run.events, 2, 0)
    state.take_ownership(run, 2, "local")
    state.write_state(run, "running", attempt=2)
    pauses = iter([lambda: journal.write(step(3, 200.0)), lambda: state.write_state(run, "done", attempt=2)])
    monkeypatch.setattr("arcterm.cli.runs.events.time.sleep", lambda seconds: next(pauses)())
    lines = events("--follow", "--kind", "step", "--json")[1]
    assert [json.loads(line)["step"] for line in lines] == [1, 3]


def test_what_a_reader_cannot_read_is_counted_with_the_reason(run):
    reader = Reader(run, check=True)
    reader.refresh()
    assert reader.essentials.unreadable == {
        "with a wrong checksum": 1,
        "without a checksum": 1,
        "of an unknown kind": 1,
    }
    assert reader.essentials.corrupt == 3
