"""Jobs on data in this process, for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arcterm.config import task_config
from arcterm.data.make.pack import pack
from arcterm.jobs import TASKS
from arcterm.runs import store
from arcterm.runs.context import JobContext
from arcterm.runs.events import Event
from arcterm.runs.store import Run


class Heard(list[Event]):
    """A journal that keeps what it is told."""

    def write(self, event: Event) -> None:
        """Keep it."""
        self.append(event)

    def sync(self) -> None:
        """Nothing to make durable."""


def make_run(root: Path, task: str, paths: Sequence[str] = ()) -> Run:
    """The run directory of a job on data."""
    config = task_config(task, paths or ["x"] * len(TASKS[task].places), {})
    return store.create(root, config, label="data", argv=[], host="h")


def make_job(task: str = "pack", root: Path | None = None, threads: int = 2) -> JobContext:
    """A job whose run directory is elsewhere, or in `root`; it hears itself as `job.heard`."""
    heard = Heard()
    made = JobContext(make_run(root or Path(tempfile.mkdtemp(prefix="arcterm-job-")), task), heard, threads)
    made.heard = heard  # type: ignore[attr-defined]
    return made


def pack_people(src: Path, dst: Path, **options: Any) -> dict[str, Any]:
    """Pack a folder of people; what the report has for a script."""
    return pack(make_job(), str(src), str(dst), **options).data
