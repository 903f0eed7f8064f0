"""What a report says of a run, read once: its facts, all its events, and verifications of its checkpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arcterm_registry.contracts import JobReport

from arcterm.config import JobConfig
from arcterm.errors import ArctermError
from arcterm.runs import store
from arcterm.runs.describe import describe
from arcterm.runs.reader import Reader
from arcterm.runs.report import read_report
from arcterm.runs.store import Run, RunRecord
from arcterm.show import comparison
from arcterm.show.plots import Past, read_past


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """One run: `described` as ``arcterm show --json`` has it, `past` of a training, `reports` of jobs.

    `reports` are (name of the job's run, report): its own if it is a job, else those of verifications of it.
    """

    run: Run
    record: RunRecord
    described: dict[str, Any]
    past: Past | None
    reports: list[tuple[str, JobReport]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def settings(self) -> dict[str, str]:
        """Every setting of its config by a flat name."""
        return dict(comparison.of_config(self.record.config))


def gather(run: Run) -> Gathered:
    """Read a run; raises `RunError` or `DataError` if it is none, or is damaged."""
    record = run.record
    training = record.config.kind == "training"
    own = None if training else read_report(run)
    return Gathered(
        run=run,
        record=record,
        described=describe(Reader(run)),
        past=read_past(run) if training else None,
        reports=_verifications(run) if training else [(run.name, own)] if own else [],
    )


def _verifications(run: Run) -> list[tuple[str, JobReport]]:
    """Reports of the verifications of a training that lie beside it, newest first."""
    found = []
    for other in store.list_runs(run.path.absolute().parent):
        record = store.recorded(other)
        config = record.config if record else None
        if not isinstance(config, JobConfig) or config.name != "verify":
            continue
        if not config.paths or Path(config.paths[0]).name != run.id:
            continue
        try:
            report = read_report(other)
        except ArctermError:  # a damaged one is shown as such by `arcterm runs`
            continue
        if report is not None:
            found.append((other.name, report))
    return found
