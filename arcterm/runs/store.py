"""Runs on disk: making, finding, listing and removing them."""

from __future__ import annotations

import datetime
import itertools
import math
import os
import re
import secrets
import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from arcterm.config import Config, TrainConfig
from arcterm.errors import ArctermError, DataError, RunError
from arcterm.files import create_json, publish, read_json, stage_of
from arcterm.runs import history
from arcterm.runs.events import Real
from arcterm.runs.history import Change
from arcterm.runs.older import upgrade

if TYPE_CHECKING:
    from arcterm.inputs.uses import Use

FORMAT_VERSION = 2
_ID = re.compile(r"\d{8}T\d{6}Z-[a-z0-9-]+")
_OWNER = "look at its owner and mode"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class RecordedPlugin(msgspec.Struct, frozen=True, kw_only=True):
    """Distribution of a plug-in that the run uses; `record_sha256` is the digest of its RECORD file."""

    kind: str
    name: str
    distribution: str
    version: str
    record_sha256: str = ""


class RecordedDataset(msgspec.Struct, frozen=True, kw_only=True):
    """The training data when the run was made: image and class counts, pairs per set."""

    fingerprint: str
    images: int
    classes: int
    verification: dict[str, int] = {}


class SourceLog(msgspec.Struct, frozen=True, kw_only=True):
    """The log of another `program` that a run was made of: its absolute path, the SHA-256 of its bytes.

    `part` is the number of the training in it, from 1; `facts` are the program's own settings as it wrote
    them, `notes` what a reader should know.
    """

    program: str
    path: str
    sha256: str
    part: int = 1
    facts: dict[str, str] = {}
    notes: list[str] = []


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """``run.json``: everything about the run as it was made. `created` is ISO 8601, UTC.

    `set_aside` maps verification sets that couldn't be used when the run was made to the reason. One with a
    `log` was trained by another program: there is nothing to resume.
    """

    format_version: int
    id: str
    name: str
    created: str
    config: Config
    argv: list[str]
    host: str
    git: str = ""
    versions: dict[str, str] = {}
    plugins: list[RecordedPlugin] = []
    dataset: RecordedDataset | None = None
    set_aside: dict[str, str] = {}
    log: SourceLog | None = None

    def number(self, value: Real | None) -> float | None:
        """A number of one of its steps; None for NaN where it stands for what a `log` does not say."""
        found = None if value is None else float(value)
        return None if self.log is not None and found is not None and math.isnan(found) else found


class Run:
    """One run directory and the paths in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: tuple[history.Mark, list[Change]] | None = None

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @cached_property  # lists of thousands ask for it again and again
    def id(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def name(self) -> str:
        """The given name, or the id; the id if ``run.json`` can't be read."""
        record = recorded(self)
        return record.name if record and record.name else self.id

    @property
    def title(self) -> str:
        """The given name, or the job's title, or the id."""
        record = recorded(self)
        return (
            self.id
            if record is None
            else record.name or (record.config.title if record.config.kind == "job" else self.id)
        )

    @property
    def created(self) -> str:
        """Time of making, ISO 8601, UTC; that of its id if ``run.json`` can't be read."""
        record = recorded(self)
        return record.created if record else _time_of(self.id)

    @property
    def created_by_id(self) -> str:
        """Time in the directory's name, ISO 8601, UTC, to the second; no file is read."""
        return _time_of(self.id)

    @property
    def removed(self) -> bool:
        """Whether the directory is gone."""
        return not self.path.exists()

    @property
    def record(self) -> RunRecord:
        """``run.json``, its config as it was last changed; read again when it was changed.

        Raises `RunError` if the directory is not a run, `DataError` if a file is damaged.
        """
        made, changes = self._made, self.changes
        return msgspec.structs.replace(made, config=changes[-1].config) if changes else made

    @property
    def changes(self) -> list[Change]:
        """Changes of the config, oldest first; raises `RunError` or `DataError` if they can't be read."""
        try:
            mark = history.mark(self)
        except OSError as error:
            raise RunError(f"{error.filename} can't be read: {error.strerror}", _OWNER) from None
        if mark is None:
            return []
        if self._known is None or self._known[0] != mark:
            self._known = (mark, history.read(self))
        return self._known[1]

    @cached_property
    def _made(self) -> RunRecord:
        """``run.json`` as it was written when the run was made."""
        path = self.path / "run.json"
        try:
            record = read_json(path, RunRecord, upgrade)
        except (FileNotFoundError, NotADirectoryError):
            raise RunError(
                f"{self.path} is not a run: it has no run.json", "`arcterm runs` lists the runs"
            ) from None
        except OSError as error:
            raise RunError(f"{path} can't be read: {error.strerror}", _OWNER) from None
        if record.format_version > FORMAT_VERSION:
            raise RunError(f"{self.path} was written by a newer arcterm", "upgrade arcterm to read it")
        if not _is_time(record.created):
            raise DataError(
                f"{path} is not what arcterm wrote: {record.created!r} is no time", "remove the run"
            )
        return record

    @property
    def config(self) -> TrainConfig:
        """The training config; raises `RunError` for the run of a job."""
        config = self.record.config
        if config.kind != "training" or config.train is None:
            raise RunError(f"{self.name} is a job, {config.title}, not a training", "name a training")
        return config.train

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def checkpoints(self) -> Path:
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
        return max((int(name) for name in names if name.isdecimal()), default=0)


def runs_dir(given: Path | None = None) -> Path:
    """The directory of runs: `given`, else ``ARCTERM_RUNS``, else ``./runs``."""
    return given or Path(os.environ.get("ARCTERM_RUNS") or "runs")


def create(
    root: Path,
    config: Config,
    *,
    label: str,
    name: str = "",
    argv: list[str],
    host: str,
    git: str = "",
    versions: dict[str, str] | None = None,
    plugins: list[RecordedPlugin] | None = None,
    dataset: RecordedDataset | None = None,
    set_aside: dict[str, str] | None = None,
    log: SourceLog | None = None,
    created: datetime.datetime | None = None,
) -> Run:
    """Make a run directory; `label` goes into the id. Raises `RunError` if the name is taken or invalid.

    One that is made of a `log` was `created` when that began, in UTC.
    """
    check_name(root, name)
    now = created or datetime.datetime.now(datetime.UTC)
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
    run_id = _free_id(root, f"{now:%Y%m%dT%H%M%SZ}-{slug}")
    record = RunRecord(
        format_version=FORMAT_VERSION,
        id=run_id,
        name=name,
        created=now.isoformat(timespec="microseconds"),
        config=config,
        argv=[os.fsencode(word).decode("utf-8", "replace") for word in argv],
        host=host,
        git=git,
        versions=versions or {},
        plugins=plugins or [],
        dataset=dataset,
        set_aside=set_aside or {},
        log=log,
    )
    _check_names(root, record)
    unfinished = root / f".new-{run_id}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        unfinished.mkdir(mode=0o700)
        for folder in ("events", "ckpt", "verify", "control/done", "attempts"):
            (unfinished / folder).mkdir(parents=True, mode=0o700)
        (unfinished / "lock").touch(mode=0o600)
        create_json(unfinished / "run.json", record)
        publish(unfinished, root / run_id)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise RunError(f"can't make a run in {root}: {error.strerror}", "choose another --runs-dir") from None
    return Run(root / run_id)


def _free_id(root: Path, beginning: str) -> str:
    """An id that no run has: of 1,000 runs in one second a few would share four random digits."""
    while True:
        run_id = f"{beginning}-{secrets.token_hex(2)}"
        if not os.path.lexists(root / run_id):
            return run_id


def _check_names(root: Path, record: RunRecord) -> None:
    """Raise `DataError` if a name in `record`, or of the directory, is not UTF-8."""
    try:
        msgspec.json.encode([str(root.absolute()), record])
    except UnicodeEncodeError as error:
        raise DataError(f"a path or a name is not UTF-8: {error.object!r:.200}", "rename it") from None


def check_name(root: Path, name: str) -> None:
    """Raise `RunError` if `name` can't name a new run."""
    if not name:
        return
    if not _NAME.fullmatch(name) or _ID.fullmatch(name) or name == "last":
        raise RunError(
            f"{name!r} can't name a run",
            "use letters, digits, '.', '_' and '-', at most 100; not 'last' or an id",
        )
    taken = next((run for run in list_runs(root) if run.name == name), None)
    if taken:
        raise RunError(
            f"the name {name!r} is taken by {taken.id}", f"choose another --name, or `arcterm rm {taken.id}`"
        )


def recorded(run: Run) -> RunRecord | None:
    """``run.json``, or None where it can't be read."""
    try:
        return run.record
    except ArctermError:
        return None


def list_runs(root: Path) -> list[Run]:
    """The runs in `root`, newest first, with damaged ones; raises `RunError` if it can't be read."""
    return scan(root)[0]


def scan(root: Path) -> tuple[list[Run], int]:
    """The runs in `root` as `list_runs` gives them, and the number of other entries, hidden ones aside.

    A ``run.json`` is read only where two were made in the same second.
    """
    runs, others = scan_names(root)
    newest_first: list[Run] = []
    for _, group in itertools.groupby(runs, key=lambda run: run.id[:16]):
        tied = list(group)
        if len(tied) > 1:
            tied.sort(key=lambda run: (datetime.datetime.fromisoformat(run.created), run.id), reverse=True)
        newest_first += tied
    return newest_first, others


def scan_names(root: Path) -> tuple[list[Run], int]:
    """As `scan`, without reading a file: those of one second are in order of their ids."""
    try:
        entries = list(os.scandir(root)) if root.is_dir() else []
    except OSError as error:
        raise RunError(f"can't read {root}: {error.strerror}", "choose another --runs-dir") from None
    runs = [Run(root / entry.name) for entry in entries if _is_run(entry)]
    shown = sum(not entry.name.startswith(".") for entry in entries)
    return sorted(runs, key=lambda run: run.id, reverse=True), shown - len(runs)


def find(root: Path, text: str, use: Use | None = None) -> Run:
    """The run called `text`: an id, a name, ``last``, a path, or the unique start or end of an id.

    ``last`` is the newest run that fits `use`, or the newest of all. Damaged runs are found too.
    """
    path = Path(text)
    if path.name != text or text in (".", ".."):
        return _find_at(path)
    if text and os.path.lexists(root / text / "run.json"):  # also of a directory that was given another name
        return Run(root / text)
    runs = list_runs(root)
    if text == "last" and runs:
        return use.newest(root, runs) if use else runs[0]
    matches = [run for run in runs if text in (run.id, run.name)]
    matches = matches or [run for run in runs if text and (run.id.startswith(text) or run.id.endswith(text))]
    if len(matches) == 1:
        return matches[0]
    if text and os.path.lexists(root / text):
        raise RunError(f"{root / text} is not a run: it has no run.json", "`arcterm runs` lists the runs")
    if matches:
        raise RunError(f"{text!r} could be {', '.join(run.id for run in matches)}", "give the whole id")
    where = (
        "no runs yet; `arcterm train tiny arcface` starts one"
        if not runs
        else "`arcterm runs` lists the runs"
    )
    raise RunError(f"there is no run {text!r} in {root}", where)


def _find_at(path: Path) -> Run:
    """The run in a directory: one that has a ``run.json``, or a run's name."""
    run = Run(path.resolve() if path.name in ("", "..") else path)
    if not _is_run(run.path) and not os.path.lexists(run.path / "run.json"):
        _ = run.record  # raises the error
    return run


def _is_run(path: Path | os.DirEntry[str]) -> bool:
    """Whether `path` is named as a run and is a directory, or a link, perhaps broken."""
    if not (_ID.fullmatch(path.name) and _time_of(path.name)):
        return False
    try:
        return path.is_dir() or path.is_symlink()
    except OSError:
        return False


def _is_time(text: str) -> bool:
    """Whether `text` is a time in ISO 8601 with a time zone."""
    try:
        return datetime.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _time_of(run_id: str) -> str:
    """ISO 8601 time in a run's id; empty if there is none."""
    try:
        return datetime.datetime.fromisoformat(run_id[:16]).isoformat()
    except ValueError:
        return ""


def remove(run: Run) -> None:
    """Delete a run, renamed first, so that it is gone at once; with the stages of a stopped job.

    Of a run that is a link only the link is removed.
    """
    doomed = run.path.with_name(f".del-{run.id}")
    try:
        if run.path.is_symlink():
            run.path.unlink()
            return
        remove_stages(run)
        run.path.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        left = doomed if os.path.lexists(doomed) else run.path
        raise DataError(f"can't remove {run.path}: {error.strerror}", f"remove {left} by hand") from None


def remove_stages(run: Run) -> None:
    """Delete the staged directories that a stopped job left beside its paths."""
    for stage in stages(run):
        shutil.rmtree(stage, ignore_errors=True)


def stages(run: Run) -> list[Path]:
    """Return the directories in which a job fills the paths that it writes."""
    record = recorded(run)
    return [stage_of(Path(path), run.id) for path in record.config.paths] if record else []
