"""Jobs in this process, for tests."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from arcterm_registry import get

from arcterm.config import JobConfig, TrainConfig, job_config
from arcterm.data.make.pack import pack
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


def verification(train: TrainConfig, run: str = "/runs/r", step: int = 400, **changes: Any) -> JobConfig:
    """The verification of a checkpoint of a training."""
    spec = get("job", "verify")
    fields: dict[str, Any] = {"stops": spec.stops, "resumes": spec.resumes, "ranks": True, "train": train}
    options = {"checkpoint": str(step)}
    return JobConfig(name="verify", group="", paths=[run], options=options, **fields | changes)


def make_run(root: Path, name: str, paths: Sequence[str] = ()) -> Run:
    """The run directory of a job."""
    config = job_config(name, paths or ["x"] * len(get("job", name).paths), {})
    return store.create(root, config, label="data", argv=[], host="h")


def make_job(
    task: str = "pack", root: Path | None = None, threads: int = 2, paths: Sequence[str] = ()
) -> JobContext:
    """A job whose run directory is elsewhere, or in `root`; it hears itself as `job.heard`."""
    heard = Heard()
    root = root or Path(tempfile.mkdtemp(prefix="arcterm-job-"))
    made = JobContext(make_run(root, task, paths), heard, threads)
    made.heard = heard  # type: ignore[attr-defined]
    return made


def pack_people(src: Path, dst: Path, **options: Any) -> dict[str, Any]:
    """Pack a folder of people; what the report has for a script."""
    return pack(make_job(), str(src), str(dst), **options).data
