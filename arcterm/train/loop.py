"""Training, in the order in which it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from arcterm_registry import get
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from arcterm.config import TrainConfig
from arcterm.runs import dataset as data
from arcterm.runs import state
from arcterm.runs.diagnosis import Exit
from arcterm.runs.events import Message, Phase
from arcterm.runs.journal import NullJournal, Sink
from arcterm.runs.store import Run
from arcterm.train import build, guard, precision
from arcterm.train.agreement import Agreement
from arcterm.train.checkpoint import Trained
from arcterm.train.compiled import compiled
from arcterm.train.evaluation import Examiner
from arcterm.train.feed import batches
from arcterm.train.feed.batches import Feed
from arcterm.train.feed.leftout import leave_out
from arcterm.train.feed.quarantine import Quarantine
from arcterm.train.report import Reporter, announce
from arcterm.train.schedule import learning_rate
from arcterm.train.world import World
from arcterm.verify.embed import normalize

Model = Callable[[Tensor], Tensor]
# the name of DDP's option changed in torch 2.13
_KEEP_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)


def train(
    run: Run, attempt: int, config: TrainConfig, world: World, journal: Sink, resume: Path | None
) -> Exit:
    """Train from scratch, or on from the checkpoint `resume`, to the last step or to a requested stop."""
    voice = journal if world.first else NullJournal()
    voice.write(Phase(phase="loading", detail=f"data set {config.dataset}"))
    dataset = leave_out(build.dataset(config), data.set_aside(run))
    guard.check_same_data(run, len(dataset), dataset.classes)
    if resume and world.first:
        guard.check_same_content(run, config)
    voice.write(Phase(phase="loading", detail=f"backbone {config.backbone}"))
    trained = build.trained(config, dataset.classes, world)
    examiner = Examiner(run, config, dataset, trained, world, voice)
    if config.pretrained and not resume:
        examiner.begin_from(Path(config.pretrained))
    start = examiner.restore(resume) if resume else 0
    kept = guard.feed_state(run, resume) if resume else {}
    quarantine = Quarantine(run.path / "quarantine", len(dataset), config.max_broken, journal, world.rank)
    fed = batches.make(config, dataset, trained, world, voice, start, kept, quarantine)
    announce(journal, world, start, config.steps)
    if world.first:
        state.write_state(run, "running", attempt=attempt, step=start)
    if examiner.unverified:
        examiner.verify(start)
    model = _model(config, trained.backbone, world, voice)
    voice.write(Phase(phase="training"))
    per_epoch = len(dataset) // config.global_batch
    return _steps(run, attempt, config, world, voice, fed, model, trained, examiner, start, per_epoch)


def _steps(
    run: Run,
    attempt: int,
    config: TrainConfig,
    world: World,
    voice: Sink,
    fed: Feed,
    model: Model,
    trained: Trained,
    examiner: Examiner,
    start: int,
    per_epoch: int,
) -> Exit:
    declared = get("backbone", config.backbone)
    agreement = Agreement(run, world)
    report = Reporter(voice, config, world.device)
    step = start
    with closing(fed.batches(report.pause)) as batches:
        for batch, waited in batches:
            step = batch.step
            epoch = (step - 1) // per_epoch + 1
            report.mark("start")
            rate = learning_rate(config, step)
            for optimizer in (trained.backbone_optimizer, trained.head_optimizer):
                optimizer.param_groups[0]["lr"] = rate
                optimizer.zero_grad(set_to_none=True)
            # drawn anew each step, so that dropout is no state that a checkpoint must hold
            torch.manual_seed(guard.step_seed(config.seed, step, world.rank))

            pixels = batch.images.to(world.device, non_blocking=True)
            labels = batch.labels.to(world.device, non_blocking=True)
            with precision.autocast(config.precision, world.device):
                embeddings = model(normalize(pixels, declared.preprocess))
            scored = trained.head(embeddings, labels, step)
            report.mark("forward")
            scored.loss.backward()
            report.mark("backward")
            if config.clip:
                nn.utils.clip_grad_norm_(trained.backbone.parameters(), config.clip)
            trained.backbone_optimizer.step()
            trained.head_optimizer.step()
            report.mark("update")
            report.step(step, epoch, rate, waited, scored)

            asked = agreement.verbs()
            stopping = "stop" in asked and step < config.steps
            if stopping and world.first:
                state.write_state(run, "stopping", attempt=attempt, step=step)
            verifying = step % config.verify_every == 0 or step == config.steps or "verify" in asked
            saving = verifying or step % config.checkpoint_every == 0 or asked & {"stop", "checkpoint"}
            if saving:
                report.flush()
                reason = (
                    "stop" if stopping else "verified" if verifying else "requested" if asked else "scheduled"
                )
                # first, so that nothing that happens to a verification takes the steps with it
                examiner.save(step, epoch, reason, fed.state(), unverified=verifying)
                if verifying:
                    examiner.verify(step)
                report.pause()
            if stopping:
                said = "; ".join(filter(None, (f"checkpoint at step {step}", examiner.collapse)))
                return Exit(reason="stopped", step=step, detail=said, t=time.time())
    report.flush()
    if start == config.steps:  # the steps were made, what follows them was interrupted
        examiner.verify(step)
    return Exit(reason="done", step=step, detail=examiner.collapse, t=time.time())


def _model(config: TrainConfig, backbone: nn.Module, world: World, voice: Sink) -> Model:
    """What the steps run: the backbone, with its gradients averaged over the ranks, compiled if asked for."""
    if config.precision == "bfloat16" and not precision.has_bfloat16(world.device):
        text = "this processor has no instructions for bfloat16: precision=float32 is many times faster"
        voice.write(Message(level="warning", text=text))
    model = _distributed(backbone, world)
    if not config.compile:
        return model
    declared = get("backbone", config.backbone)
    pixels = torch.zeros(config.batch_size, *declared.input_size, 3, dtype=torch.uint8, device=world.device)
    images = normalize(pixels, declared.preprocess)
    return compiled(
        model, config.backbone, images, config.precision, voice, whole=config.gradient_checkpointing
    )


def _distributed(backbone: nn.Module, world: World) -> nn.Module:
    """The backbone with its gradients averaged over the ranks; statistics stay each rank's own."""
    if world.size == 1 or not any(p.requires_grad for p in backbone.parameters()):
        return backbone
    devices = [world.device] if world.device.type == "cuda" else None
    options: dict[str, Any] = {"device_ids": devices, "gradient_as_bucket_view": True}
    options[_KEEP_BUFFERS] = False
    return DistributedDataParallel(backbone, **options)
