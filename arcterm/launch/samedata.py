"""Compare a run's data with what it was, before a resume and before a verification."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from arcterm_registry.contracts import DatasetFacts

from arcterm.config import TrainConfig
from arcterm.errors import DataError
from arcterm.inputs import sources
from arcterm.launch import sets
from arcterm.progress import Progress
from arcterm.runs import dataset, store
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


class DataCheck(NamedTuple):
    """A training's data as it is today: its facts, the difference that was accepted, sets to leave out."""

    facts: DatasetFacts
    difference: str
    set_aside: dict[str, str]

    def note(self, run: Run) -> None:
        """Record what is to be trained on from now on, where that isn't what is recorded."""
        if self.difference or self.set_aside != dataset.set_aside(run):
            now = record_of(self.facts)
            dataset.go_on_with(run, now, self.set_aside, accepted=bool(self.difference))


def check(
    run: Run, config: TrainConfig, *, accept: bool = False, progress: Progress | None = None
) -> DataCheck:
    """Check that a training, now of `config`, goes on with the data that it was made of.

    Raises `DataError` for changed data, unless one is to `accept` it, and for another number of people, of
    which the class weights are.
    """
    facts, was = facts_of(config, progress), dataset.current(run)
    said = dataset.changed(was, facts) if was else ""
    if was and said and facts.classes != was.classes:
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
    return DataCheck(facts, said, dict(facts.set_aside or {}))


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
