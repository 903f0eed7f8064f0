"""64 ranks on this machine start, verify, save, and go on as 48: the losses are those of two ranks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from arcterm.config import TrainConfig
from arcterm.processes import hang
from arcterm.runs import checkpoints, manifest, pulse, store
from arcterm.runs.events import Rank, Start, Step, Verify
from arcterm.runs.reader import Reader
from arcterm.runs.store import Run

pytestmark = [pytest.mark.cluster, pytest.mark.long]
MANY, FEWER, BATCH = 64, 48, 192
STEPS, SAVED = 12, 6
NEEDED = 8 << 30


def asked(ranks: int, **changes: object) -> TrainConfig:
    return TrainConfig(
        **{
            **{"backbone": "tiny", "loss": "cosface", "loss_options": {"margin": 0.2, "scale": 8.0}},
            **{"dataset": "demo", "dataset_options": {"identities": 200, "images": 20, "seed": 0}},
            **{"device": "cpu", "nproc": ranks, "batch_size": BATCH // ranks, "precision": "float32"},
            **{"epochs": 1, "steps": STEPS, "lr": 0.02, "verify_sets": "demo_frontal", "verify_every": SAVED},
            **{"checkpoint_every": 4, "keep_last": 9, "loader_threads": 1, "checkpoint_background": True},
            **changes,
        }
    )


def attempt(run: Run, number: int, tmp_path: Path, resume: str = "") -> dict[str, object]:
    """Make an attempt of forked ranks, which all end well; returns what it took."""
    words = [
        sys.executable,
        "-m",
        "tests.cluster.forked",
        str(run.path),
        str(number),
        *filter(None, [resume]),
    ]
    scratch = tmp_path / f"scratch-{run.id}"
    scratch.mkdir(exist_ok=True)
    env = {**os.environ, "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, env=env, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    taken: dict[str, object] = json.loads(done.stdout)
    assert set(taken["codes"]) == {0}, _errors(run, number)
    return taken


def _errors(run: Run, number: int) -> str:
    logs = sorted(run.attempt_dir(number).glob("rank-*/stderr.log"))
    return "\n".join(text[-600:] for log in logs if (text := log.read_text()))[:3000]


def made(tmp_path: Path, config: TrainConfig, name: str) -> Run:
    return store.create(tmp_path / "runs", config, label="many", name=name, argv=[], host="here")


def losses(run: Run) -> dict[int, float]:
    return {event.step: event.loss for _, event in Reader(run).events() if isinstance(event, Step)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of 64 ranks; one that goes on from its middle on 48; one of two."""
    if psutil.virtual_memory().available < NEEDED:
        pytest.skip(f"64 ranks take {NEEDED >> 30} GiB of memory, which are not free")
    tmp_path = tmp_path_factory.mktemp("many")
    many = made(tmp_path, asked(MANY), "many")
    taken = attempt(many, 1, tmp_path)
    print(f"{MANY} ranks: {taken}")
    fewer = made(tmp_path, asked(FEWER), "fewer")
    saved = checkpoints.name_of(SAVED)
    (many.checkpoints / saved).rename(fewer.checkpoints / saved)
    print(f"{FEWER} ranks: {attempt(fewer, 1, tmp_path, saved)}")
    two = made(tmp_path, asked(2), "two")
    attempt(two, 1, tmp_path)
    return many, fewer, two


def test_losses_are_those_of_two_ranks(runs):
    many, fewer, two = map(losses, runs)
    assert sorted(many) == list(range(1, STEPS + 1))
    assert sorted(fewer) == list(range(SAVED + 1, STEPS + 1))
    # as docs/configuration.md says of a low rate and scale
    assert max(abs(many[step] - two[step]) for step in many) <= 1e-5
    assert max(abs(fewer[step] - two[step]) for step in fewer) <= 1e-5
    scores = [
        {event.set: event.accuracy for _, event in Reader(run).events() if isinstance(event, Verify)}
        for run in runs
    ]
    assert scores[0] == scores[1] == scores[2]


def test_all_class_rows_are_in_checkpoints_that_can_be_read(runs):
    for run, ranks in zip(runs, (MANY, FEWER, 2), strict=True):
        found = checkpoints.newest(run)
        assert found.path is not None
        assert not found.notes
        saved = manifest.read(found.path)
        assert saved.world_size == ranks
        assert [shard.lo for shard in saved.head] == [0, *(shard.hi for shard in saved.head[:-1])]
        assert saved.head[-1].hi == 200
        assert len(saved.head) == ranks


def files_of(run: Run) -> int:
    return sum(path.is_file() for path in run.path.rglob("*"))


def test_files_and_events_grow_with_the_ranks_and_not_with_their_square(runs):
    many, _, two = runs
    # files of a rank: its events, logs, stacks, beat and last word, and two in each of the checkpoints
    each = 8 + 2 * len(list(many.checkpoints.iterdir()))
    assert files_of(many) - files_of(two) <= each * (MANY - 2)
    events = [event for _, event in Reader(many).events()]
    others = [event for event in events if not isinstance(event, Rank)]
    assert sum(isinstance(event, Start) for event in others) == MANY
    assert len(others) <= sum(1 for _ in Reader(two).events()) + 4 * MANY


def test_watching_64_ranks_costs_little(runs):
    many = runs[0]
    began = time.process_time()
    beats = pulse.read_all(many.attempt_dir(1))
    assert len(beats) == MANY
    assert hang.Watch(60.0).look(beats, time.monotonic(), False) is None
    Reader(many).refresh()
    print(f"watching: {time.process_time() - began:.3f} s of a core")
