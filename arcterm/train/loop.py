"""Training, in the order in which it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from arcterm_registry import Preprocess, get
from torch import Tensor

from arcterm import samples
from arcterm.config import TrainConfig
from arcterm.runs import dataset as datasets
from arcterm.runs import state
from arcterm.runs.diagnosis import Exit
from arcterm.runs.events import Message, Phase
from arcterm.runs.journal import NullJournal, Sink
from arcterm.runs.pulse import NullPulse, Pulse
from arcterm.runs.store import Run
from arcterm.train import build, precision
from arcterm.train.agreement import Agreement
from arcterm.train.checkpoint.saver import Saver
from arcterm.train.checkpoint.trained import Trained
from arcterm.train.checkpoint.writing import SavePoint
from arcterm.train.distillation import Teacher
from arcterm.train.evaluation import Examiner
from arcterm.train.feed import batches
from arcterm.train.feed.batches import Feed
from arcterm.train.feed.loader import Batch
from arcterm.train.feed.pace import OwnTimes
from arcterm.train.feed.quarantine import Quarantine
from arcterm.train.guards import data
from arcterm.train.guards.finite import Attempted, FiniteGuard
from arcterm.train.guards.scale import NO_SCALE, GradientScale
from arcterm.train.guards.symptoms import LOOK_EVERY, Symptoms
from arcterm.train.head.head import Head, HeadOutput, StepRows, mean
from arcterm.train.optim import groups
from arcterm.train.pause import Pause
from arcterm.train.report import Beating, Reporter, announce
from arcterm.train.stepmodel import StepModel
from arcterm.train.update import Update
from arcterm.train.world import World
from arcterm.verify.embed import normalize

Enter = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Training:
    """One rank's part of a training; `journal` is silent on all ranks but the first, unlike the `pause`'s."""

    run: Run
    attempt: int
    config: TrainConfig
    world: World
    journal: Sink
    trained: Trained
    examiner: Examiner
    saver: Saver
    pause: Pause
    feed: Feed
    model: StepModel
    preprocess: Preprocess
    teacher: Teacher | None
    pulse: Pulse | NullPulse
    own: OwnTimes | None
    start: int
    images: int


def train(
    run: Run,
    attempt: int,
    config: TrainConfig,
    world: World,
    journal: Sink,
    resume: Path | None,
    pulse: Pulse | NullPulse | None = None,
    own: OwnTimes | None = None,
) -> Exit:
    """Train from scratch, or on from the checkpoint `resume`, to the last step or to a requested stop.

    The supervisor knows by `pulse` that this rank gets on, and others by its `own` times how fast it is.
    """
    pulse = pulse or NullPulse()
    first_journal = Beating(journal if world.first else NullJournal(), pulse)
    first_journal.write(Phase(phase="loading", detail=f"data set {config.dataset}"))
    dataset = build.dataset(config, datasets.set_aside(run))
    data.check_same_data(run, len(dataset), dataset.classes)
    if resume and world.first:
        data.check_same_content(run, config)
    if exactness := precision.begin(config, world.device):
        first_journal.write(Message(level="info", text=exactness))
    first_journal.write(Phase(phase="loading", detail=f"backbone {config.backbone}"))
    trained = build.trained(config, dataset.classes, world)
    if config.grouped:
        first_journal.write(
            Message(level="info", text=groups.summary(trained.backbone, trained.head, config))
        )
    if isinstance(trained.head, Head) and trained.head.remark:
        first_journal.write(Message(level="warning", text=trained.head.remark))
    pause = Pause(run, attempt, config, world, journal, pulse.beat)
    examiner = Examiner(run, config, dataset, trained, world, first_journal, pause)
    saver = Saver(run, config, trained, world, first_journal, pause)
    if config.pretrained and not resume:
        examiner.begin_from(Path(config.pretrained))
    start = examiner.restore(resume) if resume else 0
    feed_state = data.feed_state(run, resume) if resume else {}
    teacher = Teacher.load(config, world.device)
    quarantine = Quarantine(run.path / "quarantine", len(dataset), config.max_broken, journal, world.rank)
    feed = batches.make(config, dataset, trained, world, first_journal, start, feed_state, quarantine)
    announce(journal, world, start, config.steps)
    if world.first:
        state.write_state(run, "running", attempt=attempt, step=start)
    # before the model is wrapped and compiled: a verification that was due may be all that is left to do
    if examiner.unverified:
        examiner.verify(start)
    model = StepModel(config, trained.backbone, world, first_journal)
    first_journal.write(Phase(phase="training"))
    preprocess = get("backbone", config.backbone).preprocess
    parts = (
        *(run, attempt, config, world, first_journal),
        *(trained, examiner, saver, pause, feed, model, preprocess),
    )
    training = Training(*parts, teacher, pulse, own, start=start, images=len(dataset))
    try:
        ended = _steps(training)
    except Exception:
        saver.rescue()
        raise
    pause.wait(ended.step)
    return ended


def _steps(training: Training) -> Exit:
    run, config, world = training.run, training.config, training.world
    trained, examiner, saver = training.trained, training.examiner, training.saver
    agreement = Agreement(
        run, world, config.checkpoint_minutes, pause=training.pause, writing=saver.is_writing
    )
    report = Reporter(training.journal, config, world.device, _symptoms(training), training.own)
    finite = FiniteGuard(run, config, world, trained, training.journal, examiner.skipped)
    scale = GradientScale(*examiner.gradient_scale) if config.precision == "float16" else None
    followers = [trained.average.follow] if trained.average else []
    update = Update(config, world, trained, finite, followers, scale)
    step = training.start
    training.pulse.beat("training", step)
    with closing(training.feed.batches(report.pause)) as batches:
        for batch, waited in batches:
            step = batch.step
            epoch = samples.place(config.begins, training.images, config.global_batch, step).epoch + 1
            report.mark("start")
            rate = update.prepare(step)
            scaled_by = scale.value if scale else None
            passed = _passes(training, batch, update.enter, report)
            outcome = update.apply(step, passed.scored.loss)
            report.mark("update")
            looks = finite.looks(passed.embeddings) if step % LOOK_EVERY == 0 and world.first else None
            report.step(step, epoch, rate, waited, passed.scored, looks, outcome, scaled_by, finite.norm)
            if outcome == "refused":
                report.flush()
                saver.finish()
                # ends the run, unless on_nan is skip
                finite.refuse(Attempted(batch, rate, passed.scored.loss))

            # Saving and verifying are collectives, so ranks must decide alike. They act on what rank 0 found
            # a step ago: looking for themselves, one could see a request that another has yet to see.
            asked = agreement.asked(step)
            stopping = "stop" in asked and step < config.steps
            if stopping and world.first:
                state.write_state(run, "stopping", attempt=training.attempt, step=step)
            verifying = step % config.verify_every == 0 or step == config.steps or "verify" in asked
            saving = verifying or step % config.checkpoint_every == 0 or asked
            if saving:
                report.flush()
                reason = _reason(stopping, verifying, requested="checkpoint" in asked)
                kept = (scale.value, scale.calm) if scale else NO_SCALE
                _save(training, SavePoint(step, epoch, reason, verifying, finite.skipped, kept))
                agreement.saved()
                report.pause()
            elif agreement.written and saver.saving:
                saver.finish()
                report.pause()
            training.pulse.beat("training", step)
            if stopping:
                detail = "; ".join(filter(None, (f"checkpoint at step {step}", examiner.collapse)))
                return Exit(reason="stopped", step=step, detail=detail, t=time.time())
    report.flush()
    return Exit(reason="done", step=step, detail=examiner.collapse, t=time.time())


class _Passes(NamedTuple):
    """What is left of a step's passes, without a graph: its scores, and the last embeddings (B, D)."""

    embeddings: Tensor
    scored: HeadOutput


def _passes(training: Training, batch: Batch, enter: Enter, report: Reporter) -> _Passes:
    """Take the parts of a step forward and backward; the sum of their gradients is with the parameters then.

    The losses see what `enter` makes of the embeddings. What autograd keeps for the way back, and the tiles
    of the head, are gone as a part ends: so none of it is there beside the next one's.
    """
    count = training.config.accumulate
    # one draw for the step: rows that only some parts compare with would be rows that some do not push away
    rows = training.trained.head.draw(batch.labels, batch.step) if count > 1 else None
    parts, scores = batch.parts(count), []
    for number, part in enumerate(parts, start=1):
        # the gradients of all but the last stay with their rank, whose sum is then averaged over the ranks
        with nullcontext() if number == count else training.model.alone():
            embeddings, scored = _pass(training, part, rows, enter, report)
        scores.append(scored)
    return _Passes(embeddings, mean(scores))


def _pass(training: Training, part: Batch, rows: StepRows | None, enter: Enter, report: Reporter) -> _Passes:
    config, world = training.config, training.world
    # The backbone alone: near a cosine of 1 bfloat16 goes in steps of 0.004, so the head rounds only the
    # large products, by its own setting, and keeps targets and sums in float32.
    with precision.autocast(config.precision, world.device):
        embeddings = training.model(normalize(part.images, training.preprocess))
    report.mark("backbone")
    embeddings = enter(embeddings)
    # A collective: each rank scores the whole batch against its own classes, and the sums over ranks make the
    # loss that of the global batch, the same number everywhere.
    output = training.trained.head(embeddings, part.labels, part.step, rows)
    learned = output.loss
    if training.teacher is not None:
        distance = training.teacher.distance(part.images, embeddings)
        learned = training.teacher.combine(learned, distance)
        output = replace(output, teacher=world.mean(distance.detach()))
    report.mark("forward")
    # The head's collectives run in reverse and give each rank its own embeddings' gradient; then DDP averages
    # the backbone's, bucket by bucket. Class rows live on one rank each and have their whole gradient there:
    # they are never exchanged. Parts are of one size, so the mean of their losses is that of the step.
    (learned / config.accumulate).backward()
    report.mark("backward")
    return _Passes(embeddings.detach(), replace(output, loss=output.loss.detach()))


def _symptoms(training: Training) -> Symptoms | None:
    """Make what watches the numbers of the steps, on rank 0."""
    if not training.world.first:
        return None
    head = training.trained.head
    chance = 1 / head.count if isinstance(head, Head) else None
    return Symptoms(training.config.steps, training.config.lr, chance)


def _save(training: Training, point: SavePoint) -> None:
    """Save a checkpoint, and verify it if that is due."""
    # Saved first and marked as unverified, so that a verification that is killed costs no step: the next
    # attempt makes up for it.
    training.saver.save(point, training.feed.state())
    if point.unverified:
        training.examiner.verify(point.step)


def _reason(stopping: bool, verifying: bool, requested: bool) -> str:
    """Return why a checkpoint is taken, the first of the reasons that hold."""
    return "stop" if stopping else "verified" if verifying else "requested" if requested else "scheduled"
