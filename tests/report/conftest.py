"""Runs with numbers in them and no training, and the command line in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from arcterm.runs import state, store
from arcterm.runs.events import Rate, Start, Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.store import Run
from tests.inprocess import in_process

from ..runs.conftest import config

RATES = [Rate(far=1e-3, tar=0.9, threshold=1.2), Rate(far=1e-2, tar=0.95, threshold=1.3)]


@pytest.fixture
def arcterm(monkeypatch, tmp_path, capsys):
    """``arcterm(*words)`` → (exit code, stdout, stderr), in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARCTERM_RUNS", raising=False)

    return in_process(monkeypatch, capsys)


@pytest.fixture
def trained(tmp_path) -> Callable[..., Run]:
    """``trained("name", steps=40, lr=0.1)``: a run that is done, with a verification every ten steps."""

    def make(name: str, steps: int = 40, bad: int = 0, root: Path = tmp_path / "runs", **changes) -> Run:
        run = store.create(
            root, config(steps=steps, epochs=2, **changes), label="x", name=name, argv=["arcterm"], host="h"
        )
        (run.path / "attempts" / "0001").mkdir()
        state.take_ownership(run, 1, "local")
        journal = Journal(run.events, 1, 0)
        journal.write(Start(t=1.0, rank=0, world_size=1, host="h", pid=1, device="cpu", step=0, steps=steps))
        for step in range(1, steps + 1):
            journal.write(
                Step(
                    t=1000.0 + 36 * step,
                    step=step,
                    epoch=1 + (step - 1) * 2 // steps,
                    loss="nan" if step == bad else 20.0 - step / 4,
                    accuracy=step / 100,
                    angle=80.0,
                    lr=0.1,
                    images_per_second=900.0,
                    samples=16 * step,
                    data_wait=0.02,
                )
            )
            if step % 10 == 0:
                for number, each in enumerate(("lfw", "agedb_30")):
                    accuracy = 0.9 + step / 1000 - number / 10
                    journal.write(
                        Verify(
                            t=1000.0 + 36 * step, step=step, set=each, pairs=600, accuracy=accuracy,
                            std=0.004, xnorm=11.0, rates=RATES,
                        )
                    )  # fmt: skip
        journal.close()
        state.write_state(run, "done", attempt=1, step=steps)
        return run

    return make
