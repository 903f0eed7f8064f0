"""Following: whole lines only, once each, whatever the writer does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from arcterm.runs.events import Message, encode
from arcterm.runs.journal import Journal
from arcterm.runs.reading.follow import Follower, read_tail
from arcterm.text import clean


def texts(found):
    return [event.text for _, event in found]


def message(text):
    return Message(level="info", text=text)


def test_events_come_once_in_order_of_attempt(run):
    second, first = Journal(run.events, 2, 0), Journal(run.events, 1, 0)
    follower = Follower(run)
    assert follower.poll() == []
    second.write(message("c"))
    first.write(message("a"))
    first.write(message("b"))
    found = follower.poll()
    assert [(attempt, event.text) for attempt, event in found] == [(1, "a"), (1, "b"), (2, "c")]
    assert follower.poll() == []
    second.write(message("d"))
    assert texts(follower.poll()) == ["d"]


def test_a_half_written_line_is_left_for_the_next_look(run):
    line = encode(message("whole"))
    path = run.events / "0001-r00000.jsonl"
    path.write_bytes(line + line[:10])
    follower = Follower(run)
    assert texts(follower.poll()) == ["whole"]
    assert follower.corrupt == 0
    with path.open("ab") as file:
        file.write(line[10:])
    assert texts(follower.poll()) == ["whole"]


def test_a_corrupt_line_is_counted_and_skipped(run):
    line = encode(message("x"))
    (run.events / "0001-r00000.jsonl").write_bytes(line + b"garbage\n" + line.replace(b"x", b"y") + line)
    follower = Follower(run)
    assert texts(follower.poll()) == ["x", "x"]
    assert follower.corrupt == 2


def test_a_limit_loses_nothing(run):
    journal = Journal(run.events, 1, 0)
    for number in range(10):
        journal.write(message(str(number)))
    follower = Follower(run)
    found = []
    while batch := follower.poll(limit=3):
        assert len(batch) <= 3
        found += texts(batch)
    assert found == [str(number) for number in range(10)]


def test_segments_follow_each_other(run, monkeypatch):
    monkeypatch.setattr("arcterm.runs.journal.SEGMENT_BYTES", 300)
    journal = Journal(run.events, 1, 0)
    for number in range(20):
        journal.write(message(str(number)))
    assert len(list(run.events.iterdir())) > 2
    assert texts(Follower(run).poll()) == [str(number) for number in range(20)]


def test_a_killed_writer_leaves_whole_lines_but_for_the_last(run):
    code = (
        "import sys; from pathlib import Path; from arcterm.runs.journal import Journal\n"
        "from arcterm.runs.events import Message\n"
        "journal = Journal(Path(sys.argv[1]), 1, 0); print('up', flush=True); n = 0\n"
        "while True:\n    journal.write(Message(level='info', text=str(n))); n += 1\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(run.events)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    follower, found = Follower(run), []
    while len(found) < 2000:
        found += texts(follower.poll(limit=2000))  # it writes faster than this reads
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    found += texts(follower.poll())
    assert found == [str(number) for number in range(len(found))]
    assert follower.corrupt == 0  # a write is cut at most at a page, and only the last
    assert sum(path.read_bytes().count(b"\n") for path in run.events.glob("*.jsonl")) == len(found)


def test_logs_are_shown_without_control_characters(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"one\n\x1b[31mred\x1b[0m \x1b]0;title\x07text\x00\xff\n" + b"z" * 10)
    assert read_tail(log, 2) == ["red text\ufffd", "zzzzzzzzzz"]
    assert read_tail(tmp_path / "none", 5) == []
    assert clean("a\x9bb\rc") == "abc"
