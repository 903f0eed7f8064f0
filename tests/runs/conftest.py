"""A run directory without a training."""

from __future__ import annotations

from pathlib import Path

import pytest

from arcterm.config import TrainConfig
from arcterm.runs import store
from arcterm.runs.store import Run


def config(**changes: object) -> TrainConfig:
    """A complete config with `changes`."""
    fields: dict[str, object] = {
        "backbone": "tiny",
        "loss": "arcface",
        "dataset": "demo",
        "device": "cpu",
        "nproc": 2,
        "batch_size": 8,
        "epochs": 2,
        "steps": 100,
        "lr": 0.1,
    }
    return TrainConfig(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A fresh run called ``first``."""
    return store.create(
        tmp_path / "runs", config(), label="tiny-arcface", name="first", argv=["x"], host="here"
    )
