"""The verification of one checkpoint, as a job of its own."""

from __future__ import annotations

import time
from pathlib import Path

from arcterm.config import VerifyConfig
from arcterm.errors import DataError
from arcterm.files import write_json
from arcterm.runs import checkpoints, state
from arcterm.runs.diagnosis import Exit
from arcterm.runs.events import Message, Phase, Verify
from arcterm.runs.journal import NullJournal, Sink
from arcterm.runs.store import Run
from arcterm.train import build, checkpoint
from arcterm.train.evaluation import embedder, verify_sets
from arcterm.train.feed.leftout import leave_out
from arcterm.train.report import announce
from arcterm.train.world import World


def verify(run: Run, attempt: int, config: VerifyConfig, world: World, journal: Sink) -> Exit:
    """Score every set of the data set with the backbone of ``config.checkpoint``."""
    voice = journal if world.first else NullJournal()
    path = Path(config.checkpoint)
    voice.write(Phase(phase="loading", detail=f"checkpoint {path.name}"))
    manifest = checkpoints.check(path, only=checkpoints.BACKBONE)
    backbone = build.backbone(config.train, world.device)
    checkpoint.load_backbone(path, backbone)
    dataset = leave_out(build.dataset(config.train), run.record.set_aside)
    announce(journal, world, manifest.step, manifest.step)
    if world.first:
        state.write_state(run, "running", attempt=attempt, step=manifest.step)
    made = embedder(config.train, backbone, config.batch_size, world, voice)
    results, failed = verify_sets(made, dataset, manifest.step, voice)
    _require_scores(f"{path.parent.parent.name}/{path.name}", results, failed)
    collapse = next((result.collapse for result in results if result.collapse), "")
    said = [f"verification set {name} is set aside: {why}" for name, why in failed.items()]
    for text in filter(None, [*said, collapse]):
        voice.write(Message(level="warning", text=text))
    if world.first:
        write_json(run.path / "verify" / f"step-{manifest.step:010d}.json", results)
    return Exit(reason="done", step=manifest.step, detail=collapse, t=time.time())


def _require_scores(source: str, results: list[Verify], failed: dict[str, str]) -> None:
    """Raise `DataError` if the checkpoint `source` gives what are no embeddings, or no set can be scored."""
    useless = next((result.withheld for result in results if result.withheld and result.collapse), "")
    if useless:
        raise DataError(f"{source}: {useless}", "verify an earlier checkpoint")
    if failed and not results:
        said = "; ".join(f"{name}: {why}" for name, why in failed.items())
        raise DataError(
            f"no verification set can be scored: {said}", "`arcterm data check DIR` looks at them"
        )
