"""Steps read in bulk are those that are read line by line, whatever stands between them."""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter

import numpy as np
import pytest

from arcterm.runs.events import Checkpoint, Message, Phase, Rank, Start, Step, Verify, encode, real
from arcterm.runs.journal import Journal
from arcterm.runs.reader import Reader
from arcterm.runs.reading.batches import StepBatch
from arcterm.runs.reading.columns import GrowingColumn
from arcterm.runs.reading.follow import Follower
from arcterm.runs.reading.summary import Summary
from tests.calls import calls


def step(number, loss=1.0, epoch=1):
    return Step(
        t=1000.0 + number / 10,
        step=number,
        epoch=epoch,
        loss=real(loss),
        accuracy=0.25,
        angle=real(70.0 - number / 100),
        lr=0.1,
        images_per_second=640.5,
        samples=64 * number,
        data_wait=0.03,
        times={"forward": 2.5},
    )


def start(at):
    return Start(t=1.0, rank=0, world_size=1, host="h", pid=1, device="CPU", step=at, steps=10_000)


def others(chance, number):
    """What may stand between two steps."""
    return chance.choice(
        [
            Rank(t=2.0, rank=0, cpu=50.0, memory=1 << 20),
            Phase(t=3.0, phase="verify", detail="lfw", done=number, total=9000),
            Verify(t=4.0, step=number, set="lfw", pairs=10, accuracy=chance.random(), std=0.0, xnorm=1.0),
            Checkpoint(t=5.0, step=number, name=f"step-{number:010d}", bytes=1, seconds=0.1, reason="x"),
            Message(t=6.0, level="info", text="step é"),
        ]
    )


def a_run(chance):
    """Lines as a training may write them, resumed from an older checkpoint, some of them damaged."""
    number, lines = 0, [encode(start(0))]
    for _ in range(3000):
        number += 1
        lines.append(encode(step(number, chance.choice([1.5, 2.5, math.nan, math.inf]), 1 + number // 500)))
        if chance.random() < 0.1:
            lines.append(encode(others(chance, number)))
        if chance.random() < 0.001:
            number -= chance.randrange(1, 40)
            lines.append(encode(start(number)) if chance.random() < 0.5 else encode(step(number)))
        if chance.random() < 0.001:
            lines.append(chance.choice([b"garbage\n", b"\n", b"a\rb\n", lines[-1].replace(b"0", b"1", 1)]))
    return lines


def state_of(summary):
    columns = {name: np.asarray(column).tolist() for name, column in summary.series.items()}
    rest = {
        name: getattr(summary, name)
        for name in ("last_step", "verification", "checkpoints", "ranks", "phase", "total_steps", "epochs")
    }
    times = summary.times[:], summary.steps[:], summary.last_event_time, list(summary.messages)
    return repr((columns, rest, times))


def read(run, ways, limit=500):
    follower, summary = Follower(run), Summary()
    if ways == "lines":
        summary.feed(follower.events())
    else:
        more = True
        while more:
            found, more = follower.batches(limit)
            summary.feed(found)
    return state_of(summary), follower.unreadable


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("limit", [7, 500, 100_000])
def test_a_summary_of_batches_is_that_of_all_lines(run, seed, limit):
    (run.events / "0001-r00000.jsonl").write_bytes(b"".join(a_run(random.Random(seed))))
    assert read(run, "batches", limit) == read(run, "lines")


@pytest.mark.parametrize("seed", range(3))
def test_looks_make_the_history_that_all_events_make_with_a_report_of_a_rank_each(run, seed):
    (run.events / "0001-r00000.jsonl").write_bytes(b"".join(a_run(random.Random(seed))))
    every, looked = Summary(compact=True), Summary(compact=True)
    every.feed(Follower(run).events())
    reader, more = Reader(run, limit=500), True
    while more:
        look = reader.look()
        looked.feed(look.events)
        more = look.more
        assert sum(isinstance(event, Rank) for _, event in look.events) <= 1
    assert state_of(looked) == state_of(every)
    assert looked.last_event_time == every.last_event_time


def test_whoever_reads_may_be_kept_waiting_between_two_blocks(run):
    (run.events / "0001-r00000.jsonl").write_bytes(b"".join(a_run(random.Random(1))))
    rests = []
    reader = Reader(run, limit=100_000, rest=lambda: rests.append(1))
    assert not reader.look().more
    assert len(rests) > 5


def test_what_a_seal_vouches_for_is_not_checked_line_by_line(run, monkeypatch):
    monkeypatch.setattr("arcterm.runs.reading.follow._BLOCK_LINES", 10)
    monkeypatch.setattr("arcterm.runs.reading.follow._FEW_LINES", 10)
    journal = Journal(run.events, 1, 0)
    for number in range(1, 200):
        journal.write(step(number))
    journal.close()
    expected = read(run, "lines")
    assert read(run, "batches") == expected
    assert expected[1] == Counter()


def test_bytes_that_are_not_those_that_were_sealed_are_checked_line_by_line(run, monkeypatch):
    monkeypatch.setattr("arcterm.runs.reading.follow._BLOCK_LINES", 10)
    monkeypatch.setattr("arcterm.runs.reading.follow._FEW_LINES", 10)
    journal = Journal(run.events, 1, 0)
    for number in range(1, 200):
        journal.write(step(number))
    journal.close()
    path = run.events / "0001-r00000.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"step":150,', b'"step":151,'))
    found, unreadable = read(run, "batches")
    assert (found, unreadable) == read(run, "lines")
    assert unreadable == {"with a wrong checksum": 1}


def test_most_steps_come_in_batches(run):
    journal = Journal(run.events, 1, 0)
    journal.write(start(0))
    for number in range(1, 3001):
        journal.write(step(number))
    found, more = Follower(run).batches(100_000)
    assert not more
    assert sum(len(event) for _, event in found if isinstance(event, StepBatch)) > 2000


def test_a_half_written_line_is_left_for_the_next_look(run):
    path, line = run.events / "0001-r00000.jsonl", encode(step(1))
    path.write_bytes(line + encode(step(2))[:50])
    follower, summary = Follower(run), Summary()
    summary.feed(follower.batches(10)[0])
    assert list(summary.steps) == [1]
    path.write_bytes(line + encode(step(2)))
    summary.feed(follower.batches(10)[0])
    assert list(summary.steps) == [1, 2]
    assert follower.corrupt == 0


def test_a_column_is_what_a_list_is_and_its_views_stay():
    chance, column, plain = random.Random(1), GrowingColumn[float]("d"), []
    kept = []
    for _ in range(300):
        more = [chance.random() for _ in range(chance.randrange(20))]
        column.extend(array("d", more))
        column.append(0.5)
        plain += [*more, 0.5]
        if chance.random() < 0.1:
            size = chance.randrange(len(plain))
            column.cut(size)
            del plain[size:]
        kept.append((np.asarray(column), list(plain)))
    assert list(column) == plain
    assert (column[-3:].tolist(), column[2], column[-1], len(column)) == (
        plain[-3:],
        plain[2],
        plain[-1],
        len(plain),
    )
    assert all(view.tolist() == then for view, then in kept)
    with pytest.raises(IndexError):
        column[len(plain)]
    assert GrowingColumn[int]("q")[:].tolist() == []


def test_a_compact_summary_holds_the_same_as_float32(run):
    (run.events / "0001-r00000.jsonl").write_bytes(b"".join(encode(step(n, n / 3)) for n in range(1, 50)))
    compact, exact = Summary(compact=True), Summary()
    compact.feed(Follower(run).batches(1000)[0])
    exact.feed(Follower(run).events())
    loss = np.asarray(compact.series["loss"])
    assert loss.dtype == np.float32
    assert np.array_equal(loss, np.asarray(exact.series["loss"]).astype(np.float32))


def test_reading_in_bulk_makes_few_calls(run):
    """A call or two for each step, in lines that are sealed."""
    journal, count = Journal(run.events, 1, 0), 9000
    for number in range(1, count + 1):
        journal.write(step(number))
    journal.close()
    follower, summary = Follower(run), Summary(compact=True)
    assert calls(lambda: summary.feed(follower.batches(2 * count)[0])) < 2 * count
    assert len(summary.steps) == count
