"""Runs for benchmarks, written by the journal that trainings write by."""

from __future__ import annotations

import math
import random
import time
from pathlib import Path

from arcterm.config import TrainConfig
from arcterm.runs import state, store
from arcterm.runs.events import Checkpoint, Phase, Rank, Start, Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.store import Run


def write_run(root: Path, steps: int, *, live: bool = False) -> tuple[Run, Journal]:
    """Write a training of `steps` steps; return it and rank 0's journal, open for more if it is `live`."""
    chance, clock = random.Random(1), time.time() - steps / 10
    config = TrainConfig(
        backbone="r50",
        loss="arcface",
        dataset="x",
        device="cpu",
        nproc=2,
        batch_size=32,
        epochs=4,
        steps=steps,
        lr=0.1,
    )
    run = store.create(root, config, label="r50-arcface", argv=["arcterm"], host="here")
    (run.path / "attempts" / "0001").mkdir()
    journals = [Journal(run.events, 1, rank) for rank in range(2)]
    for rank, journal in enumerate(journals):
        journal.write(
            Start(t=clock, rank=rank, world_size=2, host="here", pid=1, device="CPU", step=0, steps=steps)
        )
    for step in range(1, steps + 1):
        clock += chance.uniform(0.09, 0.11)
        journals[0].write(made_step(step, steps, clock, chance))
        if step % 10 == 0:
            for rank, journal in enumerate(journals):
                journal.write(Rank(t=clock, rank=rank, cpu=97.3, memory=chance.randrange(1 << 31)))
        if step % 2000 == 0:
            _verify(journals[0], step, clock, chance)
    state.take_ownership(run, 1, "local")
    state.write_state(run, "running" if live else "done", attempt=1, step=steps)
    for journal in journals[live:]:
        journal.close()
    return run, journals[0]


def made_step(step: int, steps: int, clock: float, chance: random.Random) -> Step:
    return Step(
        t=clock,
        step=step,
        epoch=1 + 4 * step // steps,
        loss=4 + 16 * math.exp(-5 * step / steps) + chance.gauss(0, 0.3),
        accuracy=step / steps,
        angle=80 - 40 * step / steps + chance.gauss(0, 1),
        lr=0.1,
        images_per_second=round(chance.gauss(640, 9), 2),
        samples=64 * step,
        data_wait=round(0.05 * chance.random(), 4),
        times={phase: round(30 * chance.random(), 3) for phase in ("data", "forward", "backward", "update")},
    )


def _verify(journal: Journal, step: int, clock: float, chance: random.Random) -> None:
    for name in ("lfw", "cfp_fp", "agedb_30"):
        for done in range(0, 12_000, 1000):
            journal.write(Phase(t=clock, phase="verify", detail=name, done=done, total=12_000))
        accuracy = 0.9 + 0.1 * chance.random()
        journal.write(
            Verify(t=clock, step=step, set=name, pairs=6000, accuracy=accuracy, std=0.003, xnorm=21.0)
        )
    name = f"step-{step:010d}"
    journal.write(Checkpoint(t=clock, step=step, name=name, bytes=1 << 28, seconds=1, reason="scheduled"))
    journal.write(Phase(t=clock, phase="training"))
