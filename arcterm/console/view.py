"""State of one run as its panels show it. No Textual."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from arcterm.config import TrainConfig
from arcterm.runs.diagnosis import alerts
from arcterm.runs.diagnosis.alerts import Concern
from arcterm.runs.events import Gpu, Phase
from arcterm.runs.history import Change
from arcterm.runs.reader import Look
from arcterm.runs.reading.summary import Summary, own_gpus
from arcterm.runs.state import LIVE, Owner, State
from arcterm.runs.store import Run, RunRecord, recorded
from arcterm.show import words
from arcterm.show.eventlines import unreadable

if TYPE_CHECKING:  # numpy and the contracts, which the run list does without
    from arcterm_registry.contracts import JobReport

    from arcterm.show.chart import Pyramid, Smoother
    from arcterm.show.chart.series import Floats

_SILENT_SECONDS = 30.0


@dataclass
class Stage:
    """One phase of a job in one attempt: its first and its newest event."""

    attempt: int
    began: Phase
    last: Phase


def note_stage(stages: list[Stage], attempt: int, event: Phase) -> None:
    """Take `event` into the newest of `stages`, or begin another where it is of another phase."""
    newest = stages[-1] if stages else None
    if (
        newest is not None
        and (newest.attempt, newest.last.phase) == (attempt, event.phase)
        and event.done >= newest.last.done
    ):
        newest.last = event
    else:
        stages.append(Stage(attempt, event, event))


@dataclass
class View:
    """A run as read so far; `take` adds what a look found.

    `summary` is of its essentials, up to date at once; `history` of all events, as far as they are read.
    """

    run: Run
    record: RunRecord
    state: State
    stopping: bool = False
    loading: bool = True
    owner: Owner | None = None
    summary: Summary = field(default_factory=Summary)
    history: Summary = field(default_factory=lambda: Summary(compact=True))
    log: list[str] = field(default_factory=list)
    log_name: str = ""
    problem: str = ""
    report: JobReport | None = None
    trackers: Sequence[dict[str, Any]] = ()
    unreadable: Mapping[str, int] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    smoothers: dict[tuple[str, float], Smoother] = field(default_factory=dict)
    pyramids: dict[tuple[str, float], Pyramid] = field(default_factory=dict)
    places: dict[str, tuple[int, Floats]] = field(default_factory=dict)  # by axis, of a version of the steps

    def take(self, look: Look) -> bool:
        """Take in a look; returns whether anything that panels show has changed."""
        self.summary = Summary() if look.anew else self.summary
        self.summary.feed(look.essentials)
        self.history.feed(look.events)
        for attempt, event in look.events:
            if isinstance(event, Phase):
                note_stage(self.stages, attempt, event)
        before = (self.state, self.stopping, self.loading, self.log, self.problem, self.trackers)
        self.state, self.stopping, self.owner = look.state, look.stopping, look.owner
        self.log, self.log_name, self.loading, self.problem = look.log, look.log_name, look.more, ""
        self.report, self.trackers, self.unreadable = look.report, look.trackers, look.unreadable
        if record := recorded(self.run):
            self.record, self.changes = record, self.run.changes
        after = (self.state, self.stopping, self.loading, self.log, self.problem, self.trackers)
        return bool(look.events) or before != after or self.live

    @property
    def live(self) -> bool:
        """Whether the run is live."""
        return self.state.state in LIVE

    @property
    def word(self) -> str:
        """The state as shown; a requested stop shows at once."""
        return "stopping" if self.stopping and self.live else self.state.state

    @property
    def waiting(self) -> str:
        """What a run waits for in a queue, or before it begins; empty of any other."""
        reason = self.state.reason
        if self.word == "queued":
            return f"queued {reason}".strip()
        return f"starting: {reason}" if self.word == "starting" and reason else ""

    @property
    def supervisor(self) -> Owner | None:
        """The process that owns a live run; none of one in a queue, whose owner is of the attempt before."""
        return self.owner if self.live and self.word != "queued" else None

    @property
    def config(self) -> TrainConfig:
        """The training that the run is about; `RunError` for a job that is about none."""
        return self.record.config.train or self.run.config

    @property
    def step(self) -> int:
        """The last step known."""
        return max(self.summary.step, self.state.step)

    @property
    def steps(self) -> int:
        """The steps to make; 0 if that is not what the run does."""
        return self.summary.total_steps or getattr(self.record.config, "steps", 0)

    @property
    def seconds(self) -> float:
        """From when it was made to its end; of a log of another program, to the last time in that."""
        ended = self.summary.last_event_time if self.record.log else self.state.t
        return max(0.0, ended - words.created(self.record.created))

    @property
    def emptiness(self) -> str:
        """Why there is nothing to draw."""
        if self.loading:
            return "reading …"
        if self.step and not self.history.steps:
            return unreadable(self.unreadable) or f"the events of its {self.step:,} steps are gone"
        if self.history.steps:
            return "not recorded" if self.record.log else "no step has a number"
        return "waiting for the first step" if self.live else "no step was made"

    @property
    def alerts(self) -> list[Concern]:
        """What is wrong with a run that is live, the worst first; of one that is over, what can't be read."""
        found = alerts.find(self.summary, self.gpus) if self.live else []
        return [*found, *([Concern("warning", text)] if (text := unreadable(self.unreadable)) else [])]

    @property
    def gpus(self) -> list[tuple[str, Gpu]]:
        """(host, GPU) of the GPUs that the run uses; all reported ones if that is unknown."""
        return own_gpus(self.record.config, self.summary)

    @property
    def gpu_note(self) -> str:
        """Why there are no GPUs, as the run's hosts report it."""
        return next((event.note for event in self.summary.gpus.values() if event.note), "")

    def silence(self) -> float | None:
        """Return the seconds since the last event of a running run if they are unusually many, else None."""
        last = self.summary.last_event_time
        if not last or self.state.state not in ("running", "stopping"):
            return None
        quiet = time.time() - last
        return quiet if quiet > _SILENT_SECONDS else None
