"""The essentials of a run say what all of its events say, to the letter, whatever its files hold."""

from __future__ import annotations

import io
import random
import zlib

import pytest
from rich.console import Console

from arcterm.cli.runs.live import JobLive, Live
from arcterm.runs import journal, state
from arcterm.runs.describe import describe
from arcterm.runs.events import (
    Checkpoint,
    End,
    Gpu,
    Gpus,
    Message,
    Mined,
    Phase,
    Rank,
    Skipped,
    Start,
    Step,
    Verify,
    encode,
)
from arcterm.runs.journal import Journal, seal_path
from arcterm.runs.reader import Reader
from arcterm.runs.reading import essentials


class Everything(Reader):
    """A reader that decodes every event."""

    def refresh(self):
        self.summary.feed(self.essentials.poll())
        return self.summary


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Files of a few lines are long ones."""
    monkeypatch.setattr(essentials, "_END_BYTES", 2000)
    monkeypatch.setattr(essentials, "_BLOCK", 3000)


def said(reader):
    """All that is shown of a run from the summary that `reader` has."""
    summary = reader.refresh()
    told = [
        summary.attempt,
        summary.step,
        summary.last_step,
        summary.total_steps,
        summary.seconds_per_step(),
        summary.eta(),
        summary.phase,
        summary.phase_eta(),
        summary.starts,
        summary.verification,
        {name: summary.best(name) for name in summary.verification},
        summary.checkpoints,
        summary.mined,
        summary.skipped,
        list(summary.messages),
        summary.gpus,
        summary.ranks,
        summary.end,
        summary.last_event_time,
        summary.sampled("loss"),
        reader.essentials.damaged,
    ]
    for kind in (Live, JobLive):
        view = kind(reader.run)
        view.close()
        view._console = Console(file=io.StringIO(), width=100)
        view._console.print(view._picture(state.State(state="running"), summary, ""))
        told.append(view._console.file.getvalue())
    return told


def compare(run):
    assert said(Reader(run, curve=True)) == said(Everything(run))
    assert describe(Reader(run, check=True)) == describe(Everything(run))


class Writer:
    """Writes the events of one attempt as they come in a training, with chance as its guide."""

    def __init__(self, run, attempt, chance, step, clock=1e9, ranks=(1, 1, 3)):
        self.chance, self.step, self.clock, self.attempt = chance, step, clock, attempt
        self.journals = [Journal(run.events, attempt, rank) for rank in range(chance.choice(ranks))]
        for rank, one in enumerate(self.journals):
            self.write(
                Start(rank=rank, world_size=3, host="h", pid=1, device="cpu", step=step, steps=20_000), one
            )

    def write(self, event, to=None):
        self.clock += self.chance.uniform(0.1, 2)
        event.t = self.clock
        (to or self.journals[0]).write(event)

    def train(self, count):
        for _ in range(count):
            self.step += 1
            self.write(step(self.step, self.chance))
            if self.chance.random() < 0.15:
                self.other(self.chance.choice(OTHERS))

    def other(self, kind):
        c, step = self.chance, self.step
        match kind:
            case "rank":
                for rank, one in enumerate(self.journals):
                    self.write(Rank(rank=rank, cpu=c.random(), memory=c.randrange(10**9)), one)
            case "gpus":
                found = [Gpu(index=0, name="A", utilisation=c.random())]
                self.write(Gpus(host=c.choice(("h", 'a "quoted" one')), gpus=found), c.choice(self.journals))
            case "phase":
                name = c.choice(("training", "verify"))
                for done in range(c.randrange(1, 30)):
                    self.write(Phase(phase=name, done=done, total=30))
            case "verify":
                accuracy = c.choice((None, c.random()))
                for name in ("lfw", "cfp"):
                    self.write(Verify(step=step, set=name, pairs=9, accuracy=accuracy, std=0.1, xnorm="nan"))
            case "checkpoint":
                self.write(Checkpoint(step=step, name="x", bytes=1, seconds=0.1, reason="due"))
            case "mined":
                self.write(
                    Mined(step=step, round=1, bags=1, images=9, pairs=9, triplets=8, steps=9, seconds=1)
                )
            case "skipped":
                self.write(
                    Skipped(rank=0, index=c.randrange(9), source="s", reason="r", count=step, total=99),
                    c.choice(self.journals),
                )
            case "message":
                self.write(Message(level="info", text=f"at {step}"), c.choice(self.journals))


OTHERS = ("rank", "rank", "gpus", "phase", "verify", "checkpoint", "mined", "skipped", "message")


def step(number, chance):
    return Step(
        step=number,
        epoch=1,
        loss=chance.choice((chance.random(), "inf")),
        accuracy=0.5,
        angle=70.0,
        lr=0.1,
        images_per_second=chance.random(),
        samples=number,
        data_wait=0.0,
    )


def damage(path, chance):
    """Break lines of a file in one of many ways."""
    lines = path.read_bytes().splitlines(keepends=True)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(lines))
        line = bytearray(lines[at])
        match chance.randrange(6) if line else 1:
            case 0:
                line[chance.randrange(len(line))] ^= 1 << chance.randrange(8)
            case 1:
                line[:] = b"garbage\n"
            case 2:
                line[:] = b"\n"
            case 3:
                line[:] = b"x" * 9000 + b"\n"
            case 4:
                line[:] = b'{"k":"new","crc":"%08x"}\n' % zlib.crc32(b'{"k":"new"')
            case 5:
                del line[len(line) // 2 :]
        lines[at] = bytes(line)
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("seed", range(40))
def test_the_essentials_of_any_run_say_what_all_of_its_events_say(run, monkeypatch, seed):
    chance = random.Random(seed)
    monkeypatch.setattr(journal, "SEGMENT_BYTES", chance.choice((9_000, 64 << 20)))
    at, clock = 0, 1e9
    for attempt in range(1, chance.randrange(2, 5)):
        writer = Writer(run, attempt, chance, at, clock)
        writer.train(chance.choice((0, 3, 30, 400)))
        if chance.random() < 0.3:
            writer.write(End(reason="stopped", step=writer.step))
        for one in writer.journals:
            one.sync() if chance.random() < 0.7 else None
        writer.train(chance.choice((0, 30)))
        at, clock = max(0, writer.step - chance.choice((0, 7, 60, 300))), writer.clock + 9
    files = sorted(run.events.glob("*.jsonl"))
    compare(run)
    if chance.random() < 0.5:
        with chance.choice(files).open("ab") as file:
            file.write(encode(step(1, chance))[:40])
    if chance.random() < 0.7:
        damage(chance.choice(files), chance)
    if chance.random() < 0.3:
        (run.events / "0001-r00009.jsonl").mkdir()
    compare(run)


@pytest.mark.parametrize("seed", range(5))
def test_a_live_run_is_followed_without_a_difference(run, seed):
    chance = random.Random(seed)
    reader, everything = Reader(run, curve=True), Everything(run)
    at, clock = 0, 1e9
    for attempt in (1, 2, 3):
        writer = Writer(run, attempt, chance, at, clock, ranks=(1,))
        for count in (1, 300, 2, 60, 0, 7):
            writer.train(count)
            assert said(reader) == said(everything)
        at, clock = writer.step - chance.choice((0, 30, 100)), writer.clock


@pytest.mark.long
def test_a_long_run_is_drawn_from_steps_evenly_spaced(run):
    writer = Writer(run, 1, random.Random(1), 0)
    writer.train(12_000)
    compare(run)
    assert len(Reader(run, curve=True).refresh().sampled("loss")) == 1200
    assert len(Reader(run, curve=True).refresh().steps) < 1600
    assert len(Reader(run).refresh().steps) < 99


def test_every_flipped_bit_is_counted_with_or_without_a_seal(run):
    writer = Writer(run, 1, random.Random(1), 0)
    writer.train(99)
    writer.journals[0].close()
    (path, *_) = sorted(run.events.glob("*.jsonl"))
    whole, seal = path.read_bytes(), seal_path(path)
    at = whole.index(b"\n", len(whole) // 2) + 1
    for _ in ("sealed", "not sealed"):
        for position in range(at, whole.index(b"\n", at)):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << position % 8
            path.write_bytes(damaged)
            if damaged[position] != ord("\n"):
                assert describe(Reader(run, check=True))["corrupt_records"] == 1
        path.write_bytes(whole)
        assert describe(Reader(run, check=True))["corrupt_records"] == 0
        seal.unlink(missing_ok=True)


@pytest.mark.parametrize("text", [b"", b"x\n", b"9 zz\n", b"99999999 00000000\n", b"-1 00000000\n"])
def test_a_seal_that_is_none_hides_nothing(run, text):
    writer = Writer(run, 1, random.Random(1), 0)
    writer.train(99)
    for path in run.events.glob("*.jsonl"):
        damage(path, random.Random(2))
        seal_path(path).write_bytes(text)
    compare(run)
