"""Runs on disk: where they live, how one is made, found, listed and removed."""

from __future__ import annotations

import datetime
import os
import re
import secrets
import shutil
from functools import cached_property
from pathlib import Path

import msgspec

from arcterm.config import DataConfig, JobConfig, TrainConfig, VerifyConfig
from arcterm.errors import ArctermError, DataError, RunError
from arcterm.formats.staging import stage_of
from arcterm.runs.files import create_json, read_json, sync_directory

FORMAT_VERSION = 1
_ID = re.compile(r"\d{8}T\d{6}Z-[a-z0-9-]+")
_KIND = {VerifyConfig: "verification", DataConfig: "job on data"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class PluginOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a plug-in that the run uses came from; `record_sha256` is the digest of its RECORD file."""

    kind: str
    name: str
    distribution: str
    version: str
    record_sha256: str = ""


class DatasetOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """What the training data was when the run was made: image and class counts, pairs per set."""

    fingerprint: str
    images: int
    classes: int
    verification: dict[str, int] = {}


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """``run.json``: everything about the run that never changes. `created` is ISO 8601, UTC."""

    format_version: int
    id: str
    name: str
    created: str
    config: JobConfig
    argv: list[str]
    host: str
    git: str = ""
    versions: dict[str, str] = {}
    plugins: list[PluginOrigin] = []
    dataset: DatasetOrigin | None = None


class Run:
    """One run directory and the paths in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def id(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def name(self) -> str:
        """The given name, or the id."""
        return self.record.name or self.id

    @cached_property
    def record(self) -> RunRecord:
        """``run.json``; raises `RunError` if the directory is not a run."""
        try:
            record = read_json(self.path / "run.json", RunRecord)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                f"{self.path} is not a run: it has no run.json", "`arcterm runs` lists the runs"
            ) from None
        if record.format_version > FORMAT_VERSION:
            raise RunError(f"{self.path} was written by a newer arcterm", "upgrade arcterm to read it")
        return record

    @property
    def config(self) -> TrainConfig:
        """The training config; raises `RunError` for a run that is another job."""
        config = self.record.config
        if not isinstance(config, TrainConfig):
            raise RunError(
                f"{self.name} is a {_KIND[type(config)]}, not a training run", "name a training run"
            )
        return config

    @property
    def events(self) -> Path:
        """The directory of event files."""
        return self.path / "events"

    @property
    def checkpoints(self) -> Path:
        """The directory of checkpoints."""
        return self.path / "ckpt"

    def attempt_dir(self, attempt: int) -> Path:
        """The directory of one attempt's logs."""
        return self.path / "attempts" / f"{attempt:04d}"

    def rank_dir(self, attempt: int, rank: int) -> Path:
        """The directory of one rank's logs in an attempt."""
        return self.attempt_dir(attempt) / f"rank-{rank:05d}"

    def attempts(self) -> int:
        """The number of the last attempt; 0 before the first."""
        names = (entry.name for entry in (self.path / "attempts").glob("[0-9]*"))
        return max((int(name) for name in names if name.isdigit()), default=0)


def runs_dir(given: Path | None = None) -> Path:
    """Where runs live: `given`, else ``ARCTERM_RUNS``, else ``./runs``."""
    return given or Path(os.environ.get("ARCTERM_RUNS") or "runs")


def create(
    root: Path,
    config: JobConfig,
    *,
    label: str,
    name: str = "",
    argv: list[str],
    host: str,
    git: str = "",
    versions: dict[str, str] | None = None,
    plugins: list[PluginOrigin] | None = None,
    dataset: DatasetOrigin | None = None,
) -> Run:
    """Make a run directory; `label` goes into the id. Raises `RunError` if the name is taken or not one."""
    check_name(root, name)
    now = datetime.datetime.now(datetime.UTC)
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    run_id = f"{now:%Y%m%dT%H%M%SZ}-{slug}-{secrets.token_hex(2)}"
    record = RunRecord(
        format_version=FORMAT_VERSION,
        id=run_id,
        name=name,
        created=now.isoformat(timespec="milliseconds"),
        config=config,
        argv=argv,
        host=host,
        git=git,
        versions=versions or {},
        plugins=plugins or [],
        dataset=dataset,
    )
    try:
        root.mkdir(parents=True, exist_ok=True)
        unfinished = root / f".new-{run_id}"
        unfinished.mkdir(mode=0o700)
        for folder in ("events", "ckpt", "verify", "control/done", "attempts"):
            (unfinished / folder).mkdir(parents=True, mode=0o700)
        (unfinished / "lock").touch(mode=0o600)
        create_json(unfinished / "run.json", record)
        unfinished.rename(root / run_id)
        sync_directory(root)
    except OSError as error:
        raise RunError(f"can't make a run in {root}: {error.strerror}", "choose another --runs-dir") from None
    return Run(root / run_id)


def check_name(root: Path, name: str) -> None:
    """Raise `RunError` if `name` can't name a new run."""
    if not name:
        return
    if not _NAME.fullmatch(name) or _ID.fullmatch(name) or name == "last":
        raise RunError(
            f"{name!r} can't name a run",
            "use letters, digits, '.', '_' and '-', at most 100; not 'last' or an id",
        )
    taken = next((run for run in list_runs(root) if run.record.name == name), None)
    if taken:
        raise RunError(
            f"the name {name!r} is taken by {taken.id}", "choose another --name, or `arcterm rm` that run"
        )


def list_runs(root: Path) -> list[Run]:
    """The runs in `root`, newest first. Directories that are not runs, or can't be read, are left out."""
    if not root.is_dir():
        return []
    runs = []
    for path in root.iterdir():
        if _ID.fullmatch(path.name):
            run = Run(path)
            try:
                _ = run.record
            except (ArctermError, OSError):
                continue
            runs.append(run)
    return sorted(runs, key=lambda run: run.record.created, reverse=True)


def find(root: Path, text: str) -> Run:
    """The run called `text`: an id, a name, ``last``, a path, or the unique start or end of an id."""
    path = Path(text)
    if (root / text / "run.json").is_file() and path.name == text:
        return Run(root / text)
    if path.name != text or text in (".", ".."):
        run = Run(path)
        _ = run.record
        return run
    runs = list_runs(root)
    if text == "last" and runs:
        return runs[0]
    matches = [run for run in runs if run.record.name == text]
    matches = matches or [run for run in runs if run.id.startswith(text) or run.id.endswith(text)]
    if len(matches) == 1:
        return matches[0]
    if (root / text).exists():
        raise RunError(f"{root / text} is not a run: it has no run.json", "`arcterm runs` lists the runs")
    if matches:
        raise RunError(f"{text!r} could be {', '.join(run.id for run in matches)}", "give the whole id")
    where = "no runs yet; `arcterm train` starts one" if not runs else "`arcterm runs` lists the runs"
    raise RunError(f"there is no run {text!r} in {root}", where)


def remove(run: Run) -> None:
    """Delete a run, renamed first, so that it is gone at once; what a stopped job had begun goes too."""
    if isinstance(run.record.config, DataConfig):
        for path in run.record.config.paths:
            shutil.rmtree(stage_of(Path(path), run.id), ignore_errors=True)
    doomed = run.path.with_name(f".del-{run.id}")
    try:
        run.path.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise DataError(f"can't remove {run.path}: {error.strerror}", f"remove {doomed} by hand") from None
