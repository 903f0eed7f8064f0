"""The verification of one checkpoint, as a job of its own."""

from __future__ import annotations

import time
from pathlib import Path

from arcterm.config import VerifyConfig
from arcterm.runs import checkpoints, state
from arcterm.runs.diagnosis import Exit
from arcterm.runs.events import Phase
from arcterm.runs.files import write_json
from arcterm.runs.journal import NullJournal, Sink
from arcterm.runs.store import Run
from arcterm.train import build, checkpoint
from arcterm.train.examine import embedder, verify_sets
from arcterm.train.leftout import leave_out
from arcterm.train.report import announce
from arcterm.train.world import World


def verify(run: Run, attempt: int, config: VerifyConfig, world: World, journal: Sink) -> Exit:
    """Score every set of the data set with the backbone of ``config.checkpoint``."""
    voice = journal if world.first else NullJournal()
    path = Path(config.checkpoint)
    voice.write(Phase(phase="loading", detail=f"checkpoint {path.name}"))
    manifest = checkpoints.check(path)
    backbone = build.backbone(config.train, world.device)
    checkpoint.load_backbone(path, backbone)
    dataset = leave_out(build.dataset(config.train), run.record.set_aside)
    announce(journal, world, manifest.step, manifest.step)
    if world.first:
        state.write_state(run, "running", attempt=attempt, step=manifest.step)
    made = embedder(config.train, backbone, config.batch_size, world, voice)
    results = verify_sets(made, dataset, manifest.step, voice)
    if world.first:
        write_json(run.path / "verify" / f"step-{manifest.step:010d}.json", results)
    return Exit(reason="done", step=manifest.step, t=time.time())
