"""Runs to be drawn: two that are done, one that trains, one that failed, a job; the numbers are made up."""

from __future__ import annotations

import datetime
import math
import os
import random
import time
from pathlib import Path

from arcterm_registry.contracts import JobReport

from arcterm.config import TrainConfig, job_config
from arcterm.runs import state, store
from arcterm.runs.events import Checkpoint, Gpu, Gpus, Phase, Rank, Rate, Start, Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.report import write_report
from arcterm.runs.state import Failure
from arcterm.runs.store import RecordedDataset, Run

_SETS = {"lfw": 0.9978, "cfp_fp": 0.962, "agedb_30": 0.9705}
_STEPS = 4000


def write(root: Path) -> None:
    """Write the runs into `root`, the newest last."""
    now = time.time()
    training(root, "r50-cosface", "cosface", 0.35, now - 9 * 3600, done=_STEPS, seed=1, gap=0.006)
    training(root, "r50-arcface", "arcface", 0.5, now - 6 * 3600, done=_STEPS, seed=2, gap=0.0)
    failed = training(root, "r100-arcface", "arcface", 0.5, now - 5 * 3600, done=900, seed=3, gap=0.02)
    failure = Failure(rank=1, cause="GPU 1 is out of memory", hint="--batch-size 64", exit_code=1)
    state.write_state(failed, "failed", attempt=1, step=900, reason="GPU 1 is out of memory", failure=failure)
    job(root, "check", ["/data/ms1mv2"], now - 4 * 3600, ["5,822,653 images of 85,742 people, 3 problems"], 3)
    live = training(root, "r50-adaface", "adaface", 0.4, now - 2900 * 0.55, done=2900, seed=4, gap=-0.001)
    state.write_state(live, "running", attempt=1, step=2900)


def training(
    root: Path, name: str, loss: str, margin: float, begun: float, *, done: int, seed: int, gap: float
) -> Run:
    """A training that made `done` of its steps, whose loss and accuracies lag by `gap`."""
    config = TrainConfig(
        backbone=name.partition("-")[0], loss=loss,
        dataset="recordio", dataset_options={"path": "/data/ms1mv2"},
        loss_options={"margin": margin, "scale": 64.0}, device="cuda", nproc=2, gpus=[0, 1], batch_size=128,
        epochs=8, steps=_STEPS, lr=0.1, verify_every=500,
    )  # fmt: skip
    facts = RecordedDataset(
        fingerprint="2:0:0", images=5_822_653, classes=85_742, verification=dict.fromkeys(_SETS, 6000)
    )
    run = store.create(
        root, config, label=config.label, name=name, argv=["arcterm", "train"], host="gpu01", dataset=facts,
        created=datetime.datetime.fromtimestamp(begun, datetime.UTC),
    )  # fmt: skip
    folder = run.rank_dir(1, 0)
    folder.mkdir(parents=True)
    state.take_ownership(run, 1, "local")
    journal, chance = Journal(run.events, 1, 0), random.Random(seed)
    for rank in range(2):
        journal.write(
            Start(
                t=begun,
                rank=rank,
                world_size=2,
                host="gpu01",
                pid=os.getpid(),
                device="NVIDIA H200",
                step=0,
                steps=_STEPS,
            )
        )
    for step in range(1, done + 1):
        _step(journal, step, begun + 0.55 * step, chance, gap)
    journal.close()
    (folder / "stderr.log").write_text(f"step {done}: saved a checkpoint, 174 MiB in 1.2 s\n")
    state.write_state(run, "done", attempt=1, step=done)
    return run


def _step(journal: Journal, step: int, t: float, chance: random.Random, gap: float) -> None:
    share = step / _STEPS
    loss = 3.5 + 30 * gap + 24 * math.exp(-5 * share) - 1.2 * (share > 0.7) + chance.gauss(0, 0.5)
    journal.write(
        Step(
            t=t, step=step, epoch=1 + 8 * (step - 1) // _STEPS, loss=loss,
            accuracy=min(0.97, share**0.3 + chance.gauss(0, 0.01)),
            angle=38 + 45 * math.exp(-4 * share) + chance.gauss(0, 0.6), lr=0.1 * (1 - share) ** 2,
            gradient_norm=abs(chance.gauss(3.2 + 4 * math.exp(-6 * share), 0.2)),
            images_per_second=chance.gauss(2310, 12), samples=256 * step,
            data_wait=abs(chance.gauss(0.02, 0.01)),
            times={"data": 2.1, "forward": 31.0, "backward": 58.0, "update": 9.0},
        )
    )  # fmt: skip
    if step % 20 == 0:
        journal.write(Gpus(t=t, host="gpu01", gpus=[_gpu(index, chance) for index in range(2)]))
        for rank in range(2):
            journal.write(Rank(t=t, rank=rank, cpu=96.0, memory=4 << 30, gpu_peak=31 << 30))
    if step % 500 == 0:
        name = f"step-{step:010d}"
        journal.write(Checkpoint(t=t, step=step, name=name, bytes=174 << 20, seconds=1.2, reason="verified"))
        for name, best in _SETS.items():
            accuracy = best - gap - 0.12 * math.exp(-4 * share) + chance.gauss(0, 0.0008)
            rates = [
                Rate(far=far, tar=accuracy - cut, threshold=1.2) for far, cut in ((1e-3, 0.02), (1e-2, 0.01))
            ]
            journal.write(
                Verify(
                    t=t,
                    step=step,
                    set=name,
                    pairs=6000,
                    accuracy=accuracy,
                    std=0.003,
                    xnorm=21.0,
                    tar=accuracy - 0.02,
                    threshold=1.41,
                    rates=rates,
                )
            )


def _gpu(index: int, chance: random.Random) -> Gpu:
    return Gpu(
        index=index, name="NVIDIA H200", utilisation=round(chance.gauss(95, 2)), memory_used=31 << 30,
        memory_total=140 << 30, temperature=61.0 + index, power=512.0, power_limit=700.0, clock=1755.0,
    )  # fmt: skip


def job(root: Path, name: str, paths: list[str], begun: float, lines: list[str], problems: int) -> None:
    """A job on data that is done."""
    config = job_config(name, paths, {})
    run = store.create(
        root, config, label=config.label, argv=["arcterm"], host="gpu01",
        created=datetime.datetime.fromtimestamp(begun, datetime.UTC),
    )  # fmt: skip
    run.attempt_dir(1).mkdir(parents=True)
    state.take_ownership(run, 1, "local")
    journal = Journal(run.events, 1, 0)
    for done in range(0, 6_000_000, 600_000):
        journal.write(
            Phase(t=begun + done / 5e4, phase="reading", detail="images", done=done, total=6_000_000)
        )
    journal.close()
    write_report(run, JobReport(lines=lines, problems=problems))
    state.write_state(run, "done", attempt=1)
