"""The data sets known here: of runs and jobs, of the person who gave them, and those that are installed."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from arcterm_registry import Dataset, scan

from arcterm.config import JobConfig, TrainConfig
from arcterm.errors import ArctermError
from arcterm.inputs import datafacts
from arcterm.inputs.datafacts import DataFacts
from arcterm.runs import state, store
from arcterm.runs.report import read_report
from arcterm.runs.store import Run, RunRecord

_READS_DATA = ("check", "bench", "pack")


@dataclass
class KnownSource:
    """A data set by its path or name: how it is known, and the best facts that runs have of it.

    `there` is False for a path that is gone.
    """

    source: str
    trainings: int = 0
    made_by: str = ""
    given: bool = False
    summary: str = ""
    facts: DataFacts | None = None
    there: bool = True
    checks: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """How it is known."""
        trained = f"trained on by {self.trainings} run{'s' * (self.trainings != 1)}" if self.trainings else ""
        found = [
            trained,
            f"made by {self.made_by}" if self.made_by else "",
            "given" * self.given,
            self.summary,
        ]
        checked = "checked" if self.checks and not trained else ""
        words = ", ".join(filter(None, [*found, checked])) or "read by a job"
        return words if self.there else f"gone; {words}"


def known_sources(root: Path, given: Iterable[str] = ()) -> list[KnownSource]:
    """Those given first, then by the newest run that knows them, then those that come with a package.

    Raises `RunError` if `root` can't be read.
    """
    found: dict[str, KnownSource] = {}
    for source in given:
        found.setdefault(source, KnownSource(source)).given = True
    for run in store.list_runs(root):
        if (record := store.recorded(run)) is not None:
            _take(run, record, found)
    for plugin in scan("dataset"):
        declared = plugin.declaration
        if isinstance(declared, Dataset) and not declared.takes_path and not _needs(declared):
            name = plugin.unique_name
            entry = found.setdefault(name, KnownSource(name))
            entry.summary = f"comes with {plugin.distribution}"
    for source, entry in found.items():
        entry.there = not source.startswith("/") or all(_exists(path) for path in source.split(","))
    return list(found.values())


def _needs(declared: Dataset) -> bool:
    """Whether a data set can't be opened by its name alone."""
    return any(option.default is None or option.name == "paths" for option in declared.options)


def _take(run: Run, record: RunRecord, found: dict[str, KnownSource]) -> None:
    config, time = record.config, _seconds(record.created)
    if isinstance(config, TrainConfig):
        entry = _entry(found, source_of(config))
        entry.trainings += 1
        if entry.facts is None and record.dataset is not None:
            entry.facts = datafacts.of_training(entry.source, record.dataset, run, time)
    elif config.group == "data" and config.paths:
        _take_job(run, config, time, found)


def _take_job(run: Run, config: JobConfig, time: float, found: dict[str, KnownSource]) -> None:
    if config.name in _READS_DATA:
        _entry(found, config.paths[0])
    if not _is_done(run):
        return
    if config.name == datafacts.CHECK:
        entry = _entry(found, config.paths[0])
        entry.checks.append(run.id)
        if (entry.facts is None or entry.facts.by != "check") and (facts := datafacts.of_check(run, time)):
            entry.facts = facts
        return
    try:
        report = read_report(run)
    except ArctermError:
        return
    if report is not None and report.result:
        _entry(found, str(Path(report.result).absolute())).made_by = config.title


def _entry(found: dict[str, KnownSource], source: str) -> KnownSource:
    return found.setdefault(source, KnownSource(source))


def source_of(config: TrainConfig) -> str:
    options = config.dataset_options
    return str(options.get("path") or options.get("paths") or config.dataset)


def _is_done(run: Run) -> bool:
    try:
        return state.read_state(run).state == "done"
    except (ArctermError, OSError):
        return False


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:
        return False


def _seconds(created: str) -> float:
    try:
        return datetime.datetime.fromisoformat(created).timestamp()
    except ValueError:
        return 0.0
