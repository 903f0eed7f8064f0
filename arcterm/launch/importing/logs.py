"""Logs of other programs to runs: what they were asked for in our settings, and their numbers as events."""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from arcterm.errors import DataError
from arcterm.files import open_regular
from arcterm.formats.trainlogs import eventfiles, parts, textlog
from arcterm.formats.trainlogs.logged import NAME_A_LOG, LoggedRun
from arcterm.launch.importing.settings import settings_of
from arcterm.runs import state, store
from arcterm.runs.events import Message
from arcterm.runs.journal import Journal
from arcterm.runs.reading.follow import read_tail
from arcterm.runs.store import Run, SourceLog

_TAIL_LINES = 300
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def import_log(root: Path, path: Path, name: str = "") -> Iterator[tuple[Run, bool]]:
    """Make a run in `root` of each training in a log, or in a directory of event files.

    Yields the runs, and whether each is new: a log that was imported before is known by its bytes. Raises
    `DataError` for a file that has no training, `RunError` if the name is taken.
    """
    digest, found = _read(path)
    known = {(log.sha256, log.part): run for run in store.list_runs(root) if (log := _log_of(run))}
    for number, logged in enumerate(found, 1):
        if (digest, number) in known:
            yield known[digest, number], False
            continue
        suffix = f"-{number}" if len(found) > 1 else ""
        chosen = f"{name}{suffix}" if name else _free_name(root, path, suffix)
        source = SourceLog(
            program=logged.program,
            path=str(path.absolute()),
            sha256=digest,
            part=number,
            facts=logged.facts,
            notes=list(logged.notes),
        )
        yield _make(root, path, logged, source, chosen), True


def _read(path: Path) -> tuple[str, list[LoggedRun]]:
    """The SHA-256 of a log and its trainings."""
    try:
        files = sorted(path.glob(eventfiles.PATTERN)) if path.is_dir() else [path]
        if not files:
            below = sorted({file.parent for file in path.rglob(eventfiles.PATTERN)})
            hint = f"name one of {', '.join(map(str, below[:4]))}" if below else NAME_A_LOG
            raise DataError(f"{path} has no event files of TensorBoard", hint)
        digest = _digest(files)
        if eventfiles.is_event_file(files[0]):
            return digest, [eventfiles.read_run(files)]
        found = parts.split(textlog.read_lines(path))
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror}", "check the path") from None
    if not found:
        raise DataError(
            f"{path} has no step and no verification in a form that is known",
            "logs of 2018's MXNet scripts, of arcface_torch, and TensorBoard's event files are read",
        )
    return digest, found


def _digest(files: Sequence[Path]) -> str:
    found = hashlib.sha256()
    for path in files:
        with open_regular(path, NAME_A_LOG, ours=False) as file:
            found.update(hashlib.file_digest(file, "sha256").digest() if len(files) > 1 else b"")
            if len(files) == 1:
                return hashlib.file_digest(file, "sha256").hexdigest()
    return found.hexdigest()


def _log_of(run: Run) -> SourceLog | None:
    record = store.recorded(run)
    return record.log if record else None


def _free_name(root: Path, path: Path, suffix: str) -> str:
    """A name after the file's that no run has."""
    stem = path.name if path.is_dir() else path.stem
    base = _UNSAFE.sub("-", stem).strip("-._")[:80] or "log"
    taken = {run.name for run in store.list_runs(root)}
    names = (f"{base}{suffix}{again}" for again in ["", *(f".{n}" for n in range(2, len(taken) + 3))])
    return next(name for name in names if name not in taken)


def _make(root: Path, path: Path, logged: LoggedRun, source: SourceLog, name: str) -> Run:
    config = settings_of(path, logged)
    first = next((event.t for attempt in logged.attempts for event in attempt if event.t), 0.0)
    last = max(event.t for attempt in logged.attempts for event in attempt)
    base = 0.0 if logged.dated else path.stat().st_mtime - last
    run = store.create(
        root,
        config,
        label=config.label,
        name=name,
        argv=["arcterm", "runs", "import", str(path)],
        host="",
        log=source,
        created=datetime.datetime.fromtimestamp(base + first, datetime.UTC),
    )
    for number, attempt in enumerate(logged.attempts, 1):
        folder = run.rank_dir(number, 0)
        folder.mkdir(parents=True)
        journal = Journal(run.events, number, 0)
        for event in attempt:
            event.t = max(base + event.t, 1.0)
            journal.write(event)
        for note in source.notes if number == len(logged.attempts) else ():
            journal.write(Message(t=base + last, level="info", text=note))
        journal.close()
    if logged.program != "TensorBoard":
        lines = read_tail(path, _TAIL_LINES)
        (run.rank_dir(len(logged.attempts), 0) / "stdout.log").write_text("\n".join([*lines, ""]), "utf-8")
    state.write_state(
        run,
        "done",
        attempt=len(logged.attempts),
        step=logged.steps,
        reason=f"imported from {path.name}, a log of {logged.program}",
    )
    return run
