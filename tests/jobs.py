"""Jobs in this process, for tests."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from arcterm_registry import get

from arcterm.config import JobConfig, TrainConfig, job_config
from arcterm.data.make.pack import pack
from arcterm.errors import StopAskedError
from arcterm.runs import store
from arcterm.runs.context import JobContext
from arcterm.runs.events import Event
from arcterm.runs.store import Run
from arcterm.train.world import World


class Heard(list[Event]):
    """A journal that keeps what it is told."""

    def write(self, event: Event) -> None:
        """Keep it."""
        self.append(event)

    def sync(self) -> None:
        """Nothing to make durable."""

    def flush(self) -> bool:
        """Nothing is held back."""
        return True


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


@cache
def _scratch() -> Path:
    """A folder for the run directories of this process, which goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="arcterm-jobs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def make_job(
    task: str = "pack", root: Path | None = None, threads: int = 2, paths: Sequence[str] = ()
) -> JobContext:
    """A job whose run directory is elsewhere, or in `root`; it hears itself as `job.heard`."""
    heard = Heard()
    root = root or Path(tempfile.mkdtemp(dir=_scratch()))
    made = JobContext(make_run(root, task, paths), heard, threads)
    made.heard = heard  # type: ignore[attr-defined]
    return made


def pack_people(src: Path, dst: Path, **options: Any) -> dict[str, Any]:
    """Pack a folder of people; what the report has for a script."""
    return pack(make_job(), str(src), str(dst), **options).data


def save_weights(path: Path, embedding_size: int = 64, seed: int = 0) -> Path:
    """Save the state of a small network with random weights, as any trainer does."""
    torch.manual_seed(seed)
    network = get("backbone", "tiny").load()(embedding_size=embedding_size)
    with torch.no_grad():
        for _ in range(10):  # so that its batch norms fit
            network.train()(torch.rand(8, 3, 112, 112) * 2 - 1)
    torch.save(network.state_dict(), path)
    return path


class StoppingJob(JobContext):
    """A job on one rank that is asked to stop when it agrees for the how-many-th time."""

    def __init__(self, name: str, root: Path, paths: Sequence[str] = (), stop: int = 1 << 30) -> None:
        heard = Heard()
        super().__init__(make_run(root, name, paths), heard, 1, World())
        self.heard, self.stop = heard, stop

    def agree(self) -> None:
        """Raise when the time has come."""
        self.stop -= 1
        if self.stop < 0:
            raise StopAskedError
