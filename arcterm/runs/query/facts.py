"""What is known of a run, by the keys of the filter language: its state, settings, sets and metrics."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import msgspec

from arcterm.config import TrainConfig
from arcterm.errors import ArctermError, DataError
from arcterm.runs import notes
from arcterm.runs.events import Phase, Step
from arcterm.runs.notes import NONE, Notes
from arcterm.runs.query.language import TEXT, Percent, Value
from arcterm.runs.reader import Reader, stop_pending
from arcterm.runs.reading.summary import Summary, best_result
from arcterm.runs.report import read_report
from arcterm.runs.space import used_bytes
from arcterm.runs.state import LIVE, State, damage, read_state
from arcterm.runs.store import Run, RunRecord, recorded

_GROUPS = ("loss", "backbone", "dataset", "track")
_UNREAD = State(state="starting")
_SETTINGS = frozenset(TrainConfig.__struct_fields__) - {f"{group}_options" for group in _GROUPS}
_METRICS = frozenset(Step.__struct_fields__) - {"t", "times"}


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """One run as lists show it; `record` is None where it can't be read, and `known` False until it is read.

    `best` is (set or ``mean``, accuracy, step), `bests` the best (accuracy, step) of each set. For a job
    `step` and `steps` are the counts of its `phase`; once it is done it has `problems`, those found, and
    `made`, its result. `skipped` counts the records that can't be used, and all. `created` is in seconds
    since 1970. `size` in bytes and the `spark`, (step, loss) from the first step to the last, are None until
    they are measured.
    """

    run: Run
    record: RunRecord | None = None
    name: str = ""
    state: State = _UNREAD
    stopping: bool = False
    step: int = 0
    steps: int = 0
    last: Step | None = None
    best: tuple[str, float, int] | None = None
    bests: dict[str, tuple[float, int]] = field(default_factory=dict)
    phase: Phase | None = None
    problems: int = 0
    made: str = ""
    skipped: tuple[int, int] | None = None
    created: float = 0.0
    notes: Notes = NONE
    size: int | None = None
    spark: tuple[tuple[int, float], ...] | None = None
    known: bool = False

    @property
    def word(self) -> str:
        """The state as shown; a requested stop shows at once, and … is the state of a run not read yet."""
        if not self.known:
            return "…"
        return "stopping" if self.stopping and self.live else self.state.state

    @property
    def live(self) -> bool:
        """Whether the run is live."""
        return self.known and self.state.state in LIVE

    @property
    def damaged(self) -> bool:
        return self.known and self.state.state == "damaged"

    @property
    def loss(self) -> float | None:
        """The last loss; None where there is none."""
        if self.last is None or self.record is None:
            return None
        return self.record.number(self.last.loss)

    @cached_property
    def text(self) -> str:
        """Everything in which a word of a filter is looked for."""
        c = self.record.config if self.record else None
        about = [c.title, *c.columns.values(), *c.paths] if c else []
        shown = [self.name, self.run.id, self.word, *about, *self.notes.tags, self.notes.text]
        return "\n".join(shown).casefold()

    def values(self, key: str) -> Iterable[Value]:
        """Return the values of a key, for `Query.matches` and `sort`; none if the run has no such thing."""
        own = _OWN.get(key)
        found = own(self) if own is not None else _setting(self, key)
        return [v for v in map(_plain, found) if v is not None]


def blank(run: Run) -> RunFacts:
    """Return what the name of a run's directory says: the run itself, and when it was made."""
    return RunFacts(run=run, name=run.id, created=_seconds(run.created_by_id))


def read(reader: Reader, before: RunFacts | None = None) -> RunFacts:
    """Read a run whole; size and spark are those of `before`. Raises `ArctermError` or OSError if it is gone.

    A run of which something can't be read is ``damaged``, and its state's reason says what.
    """
    run = reader.run
    state, record = read_state(run), recorded(run)
    summary = reader.refresh()
    state = reader.judge(state)
    config = record.config if record else None
    try:
        noted = notes.read(run)
    except DataError as error:
        state = msgspec.structs.replace(state, state="damaged", reason=damage(run, error))
        noted = NONE
    facts = RunFacts(
        run=run,
        record=record,
        name=run.title,
        state=state,
        stopping=stop_pending(run, state),
        step=max(summary.step, state.step),
        steps=summary.total_steps or getattr(config, "steps", 0),
        last=summary.last_step,
        best=best_result(summary),
        bests=_bests(summary),
        skipped=_skipped(summary),
        created=_seconds(record.created if record else run.created_by_id),
        notes=noted,
        known=True,
    )
    if config is not None and config.kind == "job" and not summary.total_steps:
        facts = _of_job(facts, summary.phase)
    return facts if before is None else replace(facts, size=before.size, spark=before.spark)


def _of_job(facts: RunFacts, phase: Phase | None) -> RunFacts:
    """Fill in a job's progress and result."""
    report = read_report(facts.run) if facts.state.state == "done" else None
    return replace(
        facts,
        phase=phase,
        step=phase.done if phase else 0,
        steps=phase.total if phase else 0,
        problems=report.problems if report else 0,
        made=(report.result or next(iter(report.lines), "")) if report else "",
    )


def unreadable(run: Run, error: ArctermError | OSError) -> RunFacts:
    """Return the facts of a run that can't be read, with the reason."""
    return replace(blank(run), state=State(state="damaged", reason=damage(run, error)), known=True)


def found(reader: Reader) -> RunFacts:
    """Read a run, its size too; one that can't be read is ``damaged``."""
    try:
        facts = read(reader)
    except (ArctermError, OSError) as error:
        return unreadable(reader.run, error)
    return replace(facts, size=used_bytes(reader.run.path))


def keys(runs: Iterable[RunFacts] = ()) -> Collection[str]:
    """Return every key that can be named: of the list itself, the settings, and what `runs` have besides."""
    return KEYS.union(*map(own_keys, runs))


def own_keys(facts: RunFacts) -> frozenset[str]:
    """Return the keys that a run has besides: its verification sets, the options of its plug-ins."""
    return frozenset([*map(_key, facts.bests), *_options(facts)])


def _bests(summary: Summary) -> dict[str, tuple[float, int]]:
    best = ((name, summary.best(name)) for name in summary.verification)
    return {name: (v.accuracy, v.step) for name, v in best if v is not None and v.accuracy is not None}


def _skipped(summary: Summary) -> tuple[int, int] | None:
    last = max(summary.skipped.values(), key=lambda event: event.count, default=None)
    return None if last is None else (max(last.count, len(summary.skipped)), last.total)


def _setting(facts: RunFacts, key: str) -> Iterator[Any]:
    """A setting, an option of a plug-in, the best of a verification set, or the last value of a metric."""
    config = facts.record.config if facts.record else None
    if key in _SETTINGS and isinstance(config, TrainConfig):
        value = getattr(config, key)
        yield from value if isinstance(value, list) else (value,)
        return
    options = [value for name, value in _options(facts).items() if key in (name, name.partition(".")[2])]
    if options:
        yield from options
        return
    for name, (accuracy, _) in facts.bests.items():
        if _key(name) == key:
            yield Percent(accuracy * 100)
            return
    name = key.removeprefix("last.")
    if facts.last is not None and name in _METRICS:
        yield from _metric(facts, facts.last, name)


def _options(facts: RunFacts) -> dict[str, Any]:
    """The options of plug-ins: ``loss.margin``; those of a job by their own names."""
    config = facts.record.config if facts.record else None
    if config is None:
        return {}
    if not isinstance(config, TrainConfig):
        return {_key(name): value for name, value in config.options.items()}
    return {
        f"{group}.{_key(name)}": value
        for group in _GROUPS
        for name, value in getattr(config, f"{group}_options").items()
    }


def _metric(facts: RunFacts, step: Step, name: str) -> Iterator[Any]:
    value = getattr(step, name)
    if isinstance(value, str) and facts.record is not None and facts.record.number(value) is None:
        return
    if name in ("accuracy", "data_wait") and value is not None:
        yield Percent(float(value) * 100)
    elif name == "loss":
        yield float(value)
    else:
        yield value


def _config(name: str) -> Callable[[RunFacts], Iterable[Any]]:
    """A column of the config: backbone, loss or dataset; for a job that of the training that it is about."""
    return lambda facts: [facts.record.config.columns.get(name)] if facts.record else []


def _loss(facts: RunFacts) -> Iterable[Any]:
    return [*_config("loss")(facts), facts.loss]


def _tags(facts: RunFacts) -> Iterable[Any]:
    return facts.notes.tags


_OWN: dict[str, Callable[[RunFacts], Iterable[Any]]] = {
    TEXT: lambda f: [f.text],
    "name": lambda f: [f.name],
    "id": lambda f: [f.run.id],
    "state": lambda f: [f.word, "live"] if f.live else [f.word],
    "kind": lambda f: [f.record.config.kind] if f.record else [],
    "host": lambda f: [f.record.host] if f.record else [],
    "git": lambda f: [f.record.git] if f.record else [],
    "created": lambda f: [f.run.created],
    "age": lambda f: [time.time() - f.created],
    "step": lambda f: [f.step] if f.known else [],
    "progress": lambda f: [100 * f.step / f.steps] if f.steps else [],
    "loss": _loss,
    "loss_fn": _config("loss"),
    "backbone": _config("backbone"),
    "dataset": _config("dataset"),
    "best": lambda f: [Percent(f.best[1] * 100)] if f.best else [],
    "best_step": lambda f: [f.best[2]] if f.best else [],
    "tag": _tags,
    "tags": _tags,
    "note": lambda f: [f.notes.text],
    "problems": lambda f: [f.problems] if f.made or f.problems else [],
    "reason": lambda f: [f.state.failure.cause if f.state.failure else f.state.reason],
    "size": lambda f: [f.size],
}


KEYS = frozenset({*_OWN, *_SETTINGS, *(f"last.{name}" for name in _METRICS), *_METRICS})
"""Keys that can be named whatever runs there are."""


def _plain(value: Any) -> Value | None:
    """A value to be compared: None for what is missing, the name of a number that is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float) else None


def _seconds(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time; 0 if it is none."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def _key(name: str) -> str:
    return name.lower().replace("-", "_")
