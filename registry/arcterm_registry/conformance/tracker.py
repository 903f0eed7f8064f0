"""Checks of a tracker, against `contracts.RunTracker`: a short run in a temporary directory, and its resume.

One that sends to a service sends what these checks make: give it options that keep it here, if it has such.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from arcterm_registry.conformance.findings import Skipped, Warned, foundation, require
from arcterm_registry.conformance.subject import Subject
from arcterm_registry.contracts import Notice, RunTracker, TrackedRun
from arcterm_registry.declare import Option, Tracker

_SECRET = ("token", "key", "secret", "password", "passwd", "webhook")
_CONFIG = {"backbone": "tiny", "loss": "arcface", "lr": 0.1, "gpus": [], "track_options": {}}
_SLOW_SECONDS = 5.0
_MANY = 500


def secrets(subject: Subject) -> str:
    """No option is made for a secret: options are recorded in the run, and in its command."""
    asks = [option.name for option in subject.declaration.options if asks_secret(option)]
    require(
        not asks,
        f"option {', '.join(asks)} asks for a secret, and options are recorded in run.json",
        "read it from an environment variable or a file of the user's",
    )
    declared = _declared(subject)
    for file in declared.files:
        known = declared.option(file)
        require(known and known.type is str, f"{file!r} of its files is no option of text", "declare it")
    return "none of its options is one"


@foundation
def needs(subject: Subject) -> str:
    """The modules that it needs are installed, and it says how they are."""
    declared = _declared(subject)
    require(
        declared.install or not declared.needs,
        f"it needs {', '.join(declared.needs)} and does not say how to get it",
        'declare install="pip install …"',
    )
    if missing := declared.missing():
        raise Skipped(f"{', '.join(missing)} is not installed: {declared.install}")
    return ", ".join(declared.needs) or "nothing"


@foundation
def build(subject: Subject) -> str:
    """The factory takes a run and the options, and returns a `contracts.RunTracker`."""
    with _folder() as folder:
        made = _make(subject, folder)
        made.close("done")
    return type(made).__name__


def values(subject: Subject) -> str:
    """It takes several calls of a step, values that are no number, new names, notices, and an end."""
    with _folder() as folder, _running(subject, folder) as made:
        made.log(0, 1e9, {"rank/0/memory": 3e8})
        for step in (1, 2, 3):
            made.log(step, 1e9 + step, {"train/loss": 1 / step, "train/lr": 1e-30})
            made.flush()
        made.log(3, 1e9 + 3, {"verify/a set/accuracy": 0.5, "verify/a set/tar@0.001": 1e-3})
        made.log(4, 1e9 + 4, {"train/loss": math.nan, "train/lr": math.inf, "train/new": -math.inf})
        for kind in ("best", "nan", "stalled", "paused", "done"):
            made.notify(Notice(kind=kind, text="a sentence – with “signs”\nof two lines", step=4, t=1e9))
    return "taken"


def again(subject: Subject) -> str:
    """A resume makes another one for the same run, which goes on; nothing to say is no error either."""
    with _folder() as folder:
        with _running(subject, folder) as made:
            made.log(1, 1e9, {"train/loss": 2.0})
        with _running(subject, folder, step=1) as made:
            made.log(2, 1e9, {"train/loss": 1.0})
        with _running(subject, folder, step=2):
            pass
    return "goes on"


def rewinds(subject: Subject) -> str:
    """One that says so takes steps back, at its start and later."""
    with _folder() as folder:
        with _running(subject, folder) as made:
            if not made.rewinds:
                own = type(made).rewind is not RunTracker.rewind
                require(not own, "it has rewind() and rewinds is False", "set rewinds = True in the class")
                return "it does not"
            for step in (1, 2, 3):
                made.log(step, 1e9, {"train/loss": 1.0})
            made.rewind(1)
            made.log(2, 1e9, {"train/loss": 1.0})
        with _running(subject, folder, step=1) as made:
            made.log(2, 1e9, {"train/loss": 1.0})
    return "it does"


def fast(subject: Subject) -> str:
    """A call takes milliseconds: one that is slower than training falls behind, though it does no harm."""
    with _folder() as folder, _running(subject, folder) as made:
        began = time.perf_counter()
        for step in range(_MANY):
            made.log(step, 1e9 + step, {"train/loss": 1.0, "train/lr": 0.1})
        made.flush()
        seconds = time.perf_counter() - began
    if seconds > _SLOW_SECONDS:
        raise Warned(f"{_MANY} steps take {seconds:.1f} s → gather them in log(), send them in flush()")
    return f"{1000 * seconds / _MANY:.2g} ms a step"


def asks_secret(option: Option) -> bool:
    """Whether an option is named as one for a secret."""
    words = option.name.lower().split("_")
    return any(word in _SECRET for word in words) and option.type is str


def _declared(subject: Subject) -> Tracker:
    return cast(Tracker, subject.declaration)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="arcterm-tracker-") as name:
        yield Path(name)


@contextlib.contextmanager
def _running(subject: Subject, folder: Path, step: int = -1) -> Iterator[RunTracker]:
    """A tracker, flushed and closed afterwards as the run's end does it."""
    made = _make(subject, folder, step)
    yield made
    made.flush()
    made.close("done")


def _make(subject: Subject, folder: Path, step: int = -1) -> RunTracker:
    work = folder / "trackers" / "checked"
    work.mkdir(parents=True, exist_ok=True)
    run = TrackedRun(
        id="20260101T000000Z-tiny-arcface-0000",
        name="",
        command="arcterm train tiny arcface",
        config=_CONFIG,
        folder=folder,
        work=work,
        step=step,
    )
    made = subject.factory()(run, **subject.settings())
    require(
        isinstance(made, RunTracker),
        f"the factory returns {type(made).__name__}, not a RunTracker",
        "subclass arcterm_registry.contracts.RunTracker",
    )
    return cast(RunTracker, made)


CHECKS = (secrets, needs, build, values, again, rewinds, fast)
