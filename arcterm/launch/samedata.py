"""Compare a run's data with what it was, before a resume and before a verification."""

from __future__ import annotations

from pathlib import Path

from arcterm_registry.contracts import DatasetFacts

from arcterm.config import TrainConfig
from arcterm.errors import DataError
from arcterm.inputs import sources
from arcterm.launch import sets
from arcterm.progress import Progress
from arcterm.runs import context, dataset, store
from arcterm.runs.store import RecordedDataset, Run


def facts_of(config: TrainConfig, progress: Progress | None = None) -> DatasetFacts:
    """Inspect a training's data set as it is today; raises `DataError`."""
    return sets.choose(sets.inspect(sources.from_config(config), progress), config.verify_sets)[0]


def record_of(facts: DatasetFacts) -> RecordedDataset:
    """Return what a run records of its data."""
    return RecordedDataset(
        fingerprint=facts.fingerprint,
        images=facts.images,
        classes=facts.classes,
        verification=dict(facts.verification),
    )


def check(run: Run, *, accept: bool, progress: Progress | None = None) -> None:
    """Check that a training goes on with the data that it was made of; note verification sets set aside.

    Changed data is noted if `accept`; a job looks for itself as it begins. Raises `DataError` for changed
    data otherwise, and for another number of people, of which the class weights are.
    """
    config, was = run.record.config, dataset.current(run)
    if config.kind != "training" or config.train is None or was is None:
        if accept:
            context.accept_changed_data(run)
        return
    config = config.train
    facts = facts_of(config, progress)
    said = dataset.changed(was, facts)
    if said and facts.classes != was.classes:
        raise DataError(
            f"the data set changed since the run was made: {said}; the class weights are of "
            f"{was.classes:,} people",
            f"put the data back, or start a new run: `arcterm train {config.backbone} {config.loss} "
            f"--pretrained {run.id}` with this data",
        )
    if said and facts.images < config.global_batch:
        raise DataError(
            f"the data set changed since the run was made: {said}; a step takes {config.global_batch} images",
            "put the data back, or start a new run",
        )
    if said and not accept:
        raise dataset.changed_error(run, said)
    aside = dict(facts.set_aside or {})
    if said or aside != dataset.set_aside(run):
        dataset.go_on_with(run, record_of(facts), aside, accepted=bool(said))


def notes(run: Run, facts: DatasetFacts) -> list[str]:
    """Return remarks on a run's data as it is today, for a verification."""
    was = dataset.current(run)
    said = dataset.changed(was, facts) if was else ""
    aside = (facts.set_aside or {}).items()
    return [
        *([f"note: the data set changed since the run was made: {said}"] if said else []),
        *(f"note: verification set {name} is set aside: {reason}" for name, reason in aside),
    ]


def other_people(config: TrainConfig, facts: DatasetFacts) -> str:
    """Return a sentence if class weights are kept that a run made of other data; empty otherwise."""
    run = Run(Path(config.pretrained).parent.parent)
    if config.head != "keep" or not config.pretrained or (record := store.recorded(run)) is None:
        return ""
    was = dataset.current(run) if record.dataset else None
    said = dataset.changed(was, facts) if was else ""
    return f"the class weights of {config.pretrained} were made with other data: {said}" if said else ""
