"""``verify``: the job that scores a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import msgspec
from arcterm_registry.contracts import JobReport

from arcterm.errors import DataError
from arcterm.files import write_json
from arcterm.runs import checkpoints
from arcterm.runs.context import JobContext
from arcterm.runs.events import Verify
from arcterm.runs.store import Run
from arcterm.train import build
from arcterm.train.checkpoint import load_backbone
from arcterm.train.evaluation import embedder, verify_sets
from arcterm.train.report import announce
from arcterm.train.world import World


def verify(context: JobContext, run: str, *, checkpoint: str) -> JobReport:
    """Score every set of the data set with the backbone of a checkpoint of `run`, on every rank.

    The embeddings of a set are shared out over the ranks and gathered on all of them, so that each comes to
    the same scores and to the same error; rank 0 writes them down.
    """
    world, config = cast(World, context.world), context.run.record.config.train
    if config is None:
        raise DataError(f"{context.run.path} doesn't say which training it is about", "verify it again")
    context.progress(0, 0, "loading", f"checkpoint {checkpoint}")
    path, manifest = checkpoints.choose(Run(Path(run)), checkpoint)
    checkpoints.check(path, only=checkpoints.BACKBONE)
    backbone = build.backbone(config, world.device)
    load_backbone(path, backbone)
    dataset = build.dataset(config, context.run.record.set_aside)
    announce(context.own_journal, world, manifest.step, manifest.step)
    context.step = manifest.step
    made = embedder(config, backbone, config.batch_size, world, context.journal)
    results, failed = verify_sets(
        made, dataset.verification, manifest.step, context.journal, between=context.agree
    )
    _require_scores(f"{Path(run).name}/{path.name}", results, failed)
    collapse = next((result.collapse for result in results if result.collapse), "")
    said = [f"verification set {name} is set aside: {why}" for name, why in failed.items()]
    for text in filter(None, [*said, collapse]):
        context.say(text, "warning")
    if world.first:
        write_json(context.run.path / "verify" / f"step-{manifest.step:010d}.json", results)
    return JobReport(
        lines=[result.line for result in results] or ["the data set has no verification sets"],
        data={"step": manifest.step, "verification": msgspec.to_builtins(results)},
        reason=collapse,
    )


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
