"""Checkpoints on disk: listing, checking and retaining them.

A checkpoint is a directory ``ckpt/step-NNNNNNNNNN`` with a manifest; it gets that name by a rename after
everything in it is on disk, so that one with the name is complete. Its digests are checked before use.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from arcterm.errors import DataError, RunError
from arcterm.files import Stamp, open_regular, stamp, ulid
from arcterm.runs import manifest as manifests
from arcterm.runs.manifest import BACKBONE, MANIFEST, NAME, FileDigest, HeadShard, Manifest
from arcterm.runs.store import Run

__all__ = ["BACKBONE", "MANIFEST", "FileDigest", "HeadShard", "Manifest"]

# the file is not there; any other error may be temporary
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


class Newest(NamedTuple):
    """The newest checkpoint that is whole, if any, and the damage of each newer one."""

    path: Path | None
    manifest: Manifest | None
    damaged: dict[Path, str]

    @property
    def notes(self) -> list[str]:
        """A sentence for each damaged one: its damage, and what is used instead."""
        instead = f"it goes on from {self.path.name}" if self.path else "it starts from step 0"
        return [f"{path.name} is set aside: {why}; {instead}" for path, why in self.damaged.items()]


def name_of(step: int) -> str:
    return f"step-{step:010d}"


def list_checkpoints(run: Run) -> list[tuple[Path, Manifest]]:
    """Complete checkpoints, oldest first: those with a manifest whose files are there in their sizes."""
    found = []
    for path in sorted(_directories(run)):
        try:
            manifest = manifests.read(path)
            if all((path / name).stat().st_size == digest.size for name, digest in manifest.files.items()):
                found.append((path, manifest))
        except (OSError, DataError, RunError):
            continue
    return found


def newest_step(run: Run) -> int | None:
    """The step of the newest checkpoint, known by its name alone; None without one."""
    names = [NAME.fullmatch(path.parent.name) for path in run.checkpoints.glob(f"step-*/{MANIFEST}")]
    return max((int(name[1]) for name in names if name), default=None)


def newest(run: Run) -> Newest:
    """The newest checkpoint whose digests hold, after checking it and, for what is wrong, any newer one.

    Raises `RunError` where one can't be read now, which is no damage.
    """
    damaged: dict[Path, str] = {}
    for path in sorted(_directories(run), reverse=True):
        try:
            return Newest(path, check(path), damaged)
        except DataError as error:
            damaged[path] = error.message
    return Newest(None, None, damaged)


def newest_valid(run: Run, *, from_start: bool = False) -> Newest:
    """As `newest`; the damaged ones are put aside as ``….bad-<ulid>``, never deleted.

    Only the holder of the run's lock may call this. Raises `RunError` if all are damaged, unless the run is
    to start again `from_start`.
    """
    found = newest(run)
    require_start(run, found, from_start)
    for path in found.damaged:
        path.rename(path.with_name(f"{path.name}.bad-{ulid()}"))
    return found


def require_start(run: Run, found: Newest, from_start: bool) -> None:
    """Raise `RunError` if a run would begin at step 0 for its damaged checkpoints, unless it was asked to."""
    aside = set_aside(run)
    if found.path is None and (found.damaged or aside) and not from_start:
        reasons = [*found.damaged.values(), *(f"{path.name} was set aside" for path in aside)]
        raise RunError(
            f"no checkpoint of {run.id} is whole: {'; '.join(reasons)}",
            f"put a whole one back, or `arcterm resume {run.id} --from-start` begins at step 0",
        )


def check(path: Path, only: str = "") -> Manifest:
    """The manifest of a checkpoint after checking every file, or `only` one.

    Raises `DataError` if something is damaged or missing, `RunError` if it can't be read now.
    """
    try:
        manifest = manifests.read(path)
        if only and only not in manifest.files:
            raise DataError(f"{path} is damaged: its manifest gives no digest of {only}", _others(path))
        for name, digest in manifest.files.items():
            if only in ("", name):
                with open_regular(path / name) as file:
                    if hashlib.file_digest(file, "sha256").hexdigest() != digest.sha256:
                        raise DataError(
                            f"{path / name} is damaged: its SHA-256 is not the manifest's",
                            _others(path),
                        )
    except OSError as error:
        where = error.filename or path
        if error.errno in _ABSENT:
            raise DataError(f"{path} is incomplete: {where}: {error.strerror}", _others(path)) from None
        raise RunError(
            f"{path} can't be read now: {where}: {error.strerror}",
            "it may be whole, so nothing was changed: try again, or move its directory out of the way",
        ) from None
    return manifest


def _others(path: Path) -> str:
    """The checkpoints to use in place of the damaged one at `path`."""
    others = sorted(
        (other for other in path.parent.glob("step-*") if NAME.fullmatch(other.name) and other != path),
        reverse=True,
    )
    if not others:
        return "copy it again from where it is whole"
    return f"beside it are {', '.join(other.name for other in others[:3])}: choose one of them"


def none_of(run: Run) -> RunError:
    """What to say of a run without a checkpoint, and what to do."""
    from arcterm.runs.state import LIVE, read_state  # which itself asks for checkpoints

    if (log := run.record.log) is not None:
        return RunError(
            f"{run.id} was trained by {log.program}, and only its log is here: it has no checkpoint",
            "name its model file",
        )
    state = read_state(run).state
    if state in LIVE:
        return RunError(
            f"{run.id} has no checkpoint yet", f"`arcterm attach {run.id}` shows when the next is due"
        )
    if state == "done":
        return RunError(f"{run.id} has no checkpoint any more", "`arcterm runs` lists other runs")
    return RunError(f"{run.id} ended without a checkpoint", f"`arcterm resume {run.id}` begins it again")


def choose(run: Run, which: str) -> tuple[Path, Manifest]:
    """The checkpoint called `which`: ``last``, ``best`` or a step; `RunError` lists what there is.

    Raises `DataError` if it is damaged in what can be seen without reading its weights.
    """
    found = list_checkpoints(run)
    there = sorted(_directories(run))
    if not there:
        raise none_of(run)
    steps = ", ".join(str(manifest.step) for _, manifest in found)
    if which == "best":
        best = max(scored(found), key=lambda pair: pair[1], default=None)
        if best is None:
            raise RunError(
                f"no checkpoint of {run.id} has an accuracy to be the best by",
                f"choose last or a step: {steps}",
            )
        return next(pair for pair in found if pair[0] == best[0])
    for path in reversed(there):
        if which in ("last", path.name, str(int(path.name.removeprefix("step-")))):
            return next((pair for pair in found if pair[0] == path), None) or _check_unlisted(path, steps)
    raise RunError(f"{run.id} has no checkpoint {which!r}", f"choose last, best or a step: {steps}")


def _check_unlisted(path: Path, steps: str) -> tuple[Path, Manifest]:
    """Raise the error of a checkpoint that is not listed; return it if it is whole by now."""
    try:
        return path, check(path)
    except DataError as error:
        hint = f"choose another step: {steps}" if steps else error.hint
        raise DataError(error.message, hint) from None


def scored(found: list[tuple[Path, Manifest]]) -> list[tuple[Path, tuple[float, int]]]:
    """Of the checkpoints that have accuracies of the sets verified last: their mean, and -step.

    The largest is the best: of equals the earliest, which is what is shown of a run.
    """
    sets: list[str] = next((list(m.verification) for _, m in reversed(found) if m.verification), [])
    return [
        (path, (statistics.fmean(m.verification[name] for name in sets), -m.step))
        for path, m in found
        if sets and m.verification.keys() >= set(sets)
    ]


def retain(run: Run, keep_last: int, keep_best: int, written: Path | None = None) -> list[str]:
    """Delete all but the newest `keep_last` and the `keep_best` of the highest score; returns the names.

    Damaged ones are not among those: a whole one takes the place, and they stay. The one just `written` is
    whole: it is not read again.
    """
    if written is not None:
        _seen_whole[written] = _stamps(written)
    doomed = superfluous(run, keep_last, keep_best)
    for path in doomed:
        discard(path)
    return [path.name for path in doomed]


def superfluous(run: Run, keep_last: int, keep_best: int) -> list[Path]:
    """The checkpoints that `retain` deletes, oldest first."""
    found = list_checkpoints(run)
    by_age = [path for path, _ in reversed(found)]
    by_score = [path for path, _ in sorted(scored(found), key=lambda pair: pair[1], reverse=True)]
    if not {*by_age} - {*by_age[:keep_last], *by_score[:keep_best]}:
        return []
    kept: set[Path] = set()
    whole: dict[Path, bool] = {}
    for paths, count in ((by_age, keep_last), (by_score, keep_best)):
        kept |= set(_whole(paths, count, whole))
    return [path for path, _ in found if path not in kept and whole.get(path, True)]


def set_aside(run: Run) -> list[Path]:
    """The damaged checkpoints that `newest_valid` has put aside."""
    return sorted(run.checkpoints.glob("step-*.bad-*"))


def _whole(paths: list[Path], count: int, known: dict[Path, bool]) -> Iterator[Path]:
    """The first `count` of `paths` that are whole; `known` collects the results."""
    for path in paths:
        if count <= 0:
            return
        if path not in known:
            known[path] = _is_whole(path)
        if known[path]:
            count -= 1
            yield path


_seen_whole: dict[Path, Stamp] = {}
"""Stamps of checkpoints that this process has read once, so that a save does not read gigabytes again."""


def _is_whole(path: Path) -> bool:
    stamps = _stamps(path)
    if _seen_whole.get(path) != stamps:
        try:
            check(path)
        except (DataError, RunError):
            return False
        _seen_whole[path] = stamps
    return True


def _stamps(path: Path) -> Stamp:
    return stamp(sorted(path.glob("*.safetensors")), exact=True)


def discard(path: Path) -> None:
    """Delete a directory so that no reader sees it half gone: renamed first."""
    hidden = path.with_name(f".del-{path.name}")
    path.rename(hidden)
    shutil.rmtree(hidden)


def sweep(run: Run) -> None:
    """Remove what an interrupted save or deletion left. Only the holder of the run's lock may call this."""
    for pattern in (".tmp-*", ".del-*"):
        for path in run.checkpoints.glob(pattern):
            shutil.rmtree(path)
    for path in run.checkpoints.glob(f"step-*/.{MANIFEST}.tmp.*"):
        path.unlink()


def _directories(run: Run) -> list[Path]:
    return [path for path in run.checkpoints.glob("step-*") if NAME.fullmatch(path.name)]
