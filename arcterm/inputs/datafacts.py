"""What is known of a data set: by reading it, by its last check, or by a training that used it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

import msgspec
from arcterm_registry.contracts import JobReport

from arcterm.errors import ArctermError
from arcterm.inputs.census import Census
from arcterm.runs.report import read_report
from arcterm.runs.store import RecordedDataset, Run

CHECK = "check"
"""The job whose report has findings."""


class PairFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A verification set: its pairs and how many are `same`; `damaged` images, or a `problem` with all."""

    name: str
    pairs: int = 0
    same: int | None = None
    damaged: int = 0
    problem: str = ""


class CheckedFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A finding by name; `faces` are files with its pictures in the directory of the check's run."""

    text: str
    hint: str = ""
    faces: list[str] = []


class CheckedKind(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of findings: how many there are, the first ones by name, and whether they are problems."""

    count: int
    problem: bool
    named: list[CheckedFinding] = []
    title: str = ""


class DataFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of the data set `source`, known `by` reading it, its check or a training, `run`, at `time`.

    `census` counts the images of each person, `problems` are sentences. `findings` are those of a check, by
    kind; None where there was none.
    """

    source: str
    by: Literal["reading", "check", "training"]
    time: float = 0.0
    run: str = ""
    dataset: str = ""
    images: int = 0
    classes: int = 0
    unreadable: int = 0
    image_size: str = ""
    census: Census | None = None
    sets: list[PairFacts] = []
    problems: list[str] = []
    findings: dict[str, CheckedKind] | None = None

    @property
    def problem_count(self) -> int:
        """Problems that a check has found."""
        return sum(kind.count for kind in (self.findings or {}).values() if kind.problem)


class _CheckReport(msgspec.Struct):
    """The part of a check's report that is read here."""

    path: str
    people: Census | None = None
    classes: int | None = None
    facts: dict[str, str] = {}
    sets: list[PairFacts] = []
    findings: dict[str, CheckedKind] = {}


def of_check(run: Run, time: float) -> DataFacts | None:
    """The facts in the report of a check; None if it has none, or another version of arcterm wrote it."""
    try:
        report = read_report(run)
    except ArctermError:
        return None
    return None if report is None else _parse(report, run, time)


def _parse(report: JobReport, run: Run, time: float) -> DataFacts | None:
    try:
        found = msgspec.convert(report.data, _CheckReport)
    except msgspec.ValidationError:
        return None
    census = found.people
    return DataFacts(
        source=found.path,
        by="check",
        time=time,
        run=str(run.path),
        images=census.images if census else 0,
        classes=found.classes or (census.people if census else 0),
        image_size=found.facts.get("image size", ""),
        census=census,
        sets=found.sets,
        findings=found.findings,
    )


def of_training(source: str, recorded: RecordedDataset, run: Run, time: float) -> DataFacts:
    """The facts that a training recorded as it was made."""
    return DataFacts(
        source=source,
        by="training",
        time=time,
        run=str(run.path),
        images=recorded.images,
        classes=recorded.classes,
        sets=[PairFacts(name=name, pairs=pairs) for name, pairs in recorded.verification.items()],
    )


def face_files(facts: DataFacts, finding: CheckedFinding) -> list[Path]:
    """The pictures of a finding, as far as they lie in the directory of the check's run."""
    folder = Path(facts.run).resolve()
    files = [(folder / name).resolve() for name in finding.faces]
    return [file for file in files if file.is_relative_to(folder) and file.is_file()]


def check_command(source: str) -> str:
    return f"arcterm data check {shlex.quote(source)}"
