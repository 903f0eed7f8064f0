"""A launcher of others: what it is given stays in the class, and a test says what it answers."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from arcterm_registry.contracts import EngineState, Submission

ENTRY_POINTS = "[arcterm.launchers]\nfarm = farmhouse:farm\nbarn = farmhouse:barn\n"
DECLARED = """\
from arcterm_registry import Launcher, Option
farm = Launcher(
    summary="machines of others", factory="tests.launchers.farm:Farm", remote=True,
    options=(
        Option(name="hosts", type=int, default=1, low=1, help="machines"),
        Option(name="gpus", type=int, default=0, low=0, help="GPUs of each"),
        Option(name="field", type=str, default="", help="a part of the farm"),
    ),
)
barn = Launcher(summary="this machine, by another engine", factory="tests.launchers.farm:Farm")
"""


class Farm:
    """What a test reads and says."""

    given: list[Submission] = []  # noqa: RUF012
    answers: dict[str, EngineState] = {}  # noqa: RUF012
    calls: list[Any] = []  # noqa: RUF012
    problems: list[str] = []  # noqa: RUF012
    does: Callable[[str], object] = staticmethod(lambda what: None)

    def __init__(self, **options: object) -> None:
        self.options = options

    def check(self, submission: Submission) -> list[str]:
        Farm.does("check")
        return Farm.problems

    def describe(self, submission: Submission) -> str:
        return f"farm {submission.hosts} × {submission.gpus}\n{shlex.join(submission.command)}"

    def submit(self, submission: Submission) -> str:
        Farm.does("submit")
        Farm.given.append(submission)
        return str(16 + len(Farm.given))

    def state(self, ids: Sequence[str]) -> Mapping[str, EngineState]:
        Farm.calls.append(list(ids))
        Farm.does("state")
        return {each: Farm.answers.get(each, EngineState(state="unknown")) for each in ids}

    def stop(self, id: str, *, at_once: bool) -> None:
        Farm.does("stop")
        Farm.calls.append((id, at_once))

    def logs(self, id: str) -> list[Path]:
        Farm.does("logs")
        return [Path("/nowhere"), Path(__file__)]
