"""A run whose events, state and trackers a test writes by hand, and the feeder over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from arcterm_registry.contracts import Notice, RunTracker, TrackedRun

from arcterm.config import TrainConfig
from arcterm.runs import state, store, trackers
from arcterm.runs.events import AnyEvent, Checkpoint, Start, Step, Verify
from arcterm.runs.journal import Journal
from arcterm.runs.reading.follow import Follower
from arcterm.runs.store import Run
from arcterm.tracking.feeder import Feeder

TOYS = """\
from arcterm_registry import Option, Tracker
kept = Tracker(summary="keeps all", factory="tests.trackers.conftest:Kept",
               options=(Option(name="word", type=str, default="", help="a word"),))
rewound = Tracker(summary="keeps all, and forgets", factory="tests.trackers.conftest:Rewound")
"""


class Kept(RunTracker):
    """A tracker that keeps what it is given, in the class: it is made anew after each failure."""

    points: list[tuple[int, str, float]] = []  # noqa: RUF012
    notices: list[Notice] = []  # noqa: RUF012
    calls: list[str] = []  # noqa: RUF012
    raises: Callable[[str, int], None] = staticmethod(lambda what, step: None)

    def __init__(self, run: TrackedRun, **options: object) -> None:
        self._call("start", run.step)
        self.run = run

    def log(self, step: int, t: float, values: Any) -> None:
        Kept.raises("log", step)
        Kept.points += [(step, name, value) for name, value in values.items()]

    def rewind(self, step: int) -> None:
        self._call("rewind", step)
        Kept.points[:] = [point for point in Kept.points if point[0] <= step]

    def notify(self, notice: Notice) -> None:
        Kept.raises("notify", notice.step)
        Kept.notices.append(notice)

    def close(self, state: str) -> None:
        self._call("close", state)

    def _call(self, what: str, value: object) -> None:
        Kept.calls.append(f"{what} {value}")
        Kept.raises(what, -1)


class Rewound(Kept):
    rewinds = True

    def __init__(self, run: TrackedRun) -> None:
        super().__init__(run)
        self.rewind(run.step)


class Story:
    """A run, written attempt by attempt."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def attempt(self, number: int, *events: AnyEvent, begins: int = 0, t: float = 0.0) -> None:
        """Write the events of rank 0 in a new attempt, which goes on at `t` from step `begins`."""
        start = Start(rank=0, world_size=1, host="here", pid=1, device="cpu", step=begins, steps=9, t=t)
        journal = Journal(self.run.events, number, 0)
        for event in (start, *events):
            journal.write(event)
        journal.close()

    def state(self, word: state.StateName, **fields: object) -> None:
        state.write_state(self.run, word, **{"attempt": 1, **fields})

    def feed(self, name: str, **options: Any) -> Feeder:
        """Feed a tracker to the run's end, without a pause."""
        trackers.folder(self.run, name).mkdir(parents=True, exist_ok=True)
        feeder = Feeder(self.run, name, **{"pause": lambda seconds: None, **options})
        feeder.feed()
        return feeder

    def events(self, kind: type) -> list[Any]:
        """The events of one kind that count in the end, as `Summary` reads them: no step comes twice."""
        found: dict[tuple[int, str], Any] = {}
        for _, event in Follower(self.run).events():
            if isinstance(event, Start):
                found = {key: kept for key, kept in found.items() if key[0] <= event.step}
            if isinstance(event, kind):
                found[event.step, getattr(event, "set", "")] = event
        return list(found.values())


def step(number: int, loss: float | str = 1.5, **fields: Any) -> Step:
    """A step; its numbers follow from `number`."""
    return Step(
        step=number,
        epoch=1,
        loss=loss if isinstance(loss, str) else loss / number,
        accuracy=number / 100,
        angle=90.0 - number,
        lr=0.1 / number,
        images_per_second=100.0 + number,
        samples=32 * number,
        data_wait=0.25,
        times={"forward": 1.0 + number, "backward": 2.0},
        **fields,
    )


def verified(number: int, accuracy: float | None, name: str = "lfw", **fields: Any) -> Verify:
    return Verify(step=number, set=name, pairs=100, accuracy=accuracy, std=0.01, xnorm=9.5, **fields)


def saved(number: int) -> Checkpoint:
    return Checkpoint(step=number, name=f"step-{number}", bytes=1000, seconds=0.5, reason="scheduled")


@pytest.fixture
def story(tmp_path: Path, distribution: Callable[..., Path]) -> Iterator[Story]:
    """A training with no event yet, tracked by toys that keep what they are given."""
    distribution(
        "toys", entry_points="[arcterm.trackers]\nkept = toys:kept\nrewound = toys:rewound\n", toys=TOYS
    )
    config = TrainConfig(
        backbone="tiny",
        loss="arcface",
        dataset="demo",
        device="cpu",
        nproc=1,
        batch_size=8,
        epochs=2,
        steps=9,
        lr=0.1,
        track="kept,rewound",
    )
    run = store.create(tmp_path / "runs", config, label="tiny-arcface", name="first", argv=[], host="here")
    Kept.points, Kept.notices, Kept.calls = [], [], []
    Kept.raises = staticmethod(lambda what, step: None)
    yield Story(run)
    Kept.raises = staticmethod(lambda what, step: None)


def change_config(run: Run, **changes: Any) -> None:
    """Give a run another config, as a resume does."""
    from arcterm.runs import history

    history.record(run, msgspec.structs.replace(run.config, **changes), "a test", 0)
