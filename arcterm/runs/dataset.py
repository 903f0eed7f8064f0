"""The training data of a run: at its start, and as accepted since."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from arcterm.errors import ArctermError, DataError
from arcterm.files import read_json, ulid, write_json
from arcterm.runs.store import RecordedDataset, Run

if TYPE_CHECKING:  # the contracts take their time to import
    from arcterm_registry.contracts import DatasetFacts


class DataNow(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``data.json``: from a resume at `t` on, seconds since 1970, `dataset` is trained on.

    `set_aside` maps its unusable verification sets to the reason; `accepted`: the user chose to go on with
    changed data. Checkpoints older than `t` were made with other data then.
    """

    t: float
    dataset: RecordedDataset
    set_aside: dict[str, str] = {}
    accepted: bool = False


def history(run: Run) -> list[DataNow]:
    """The entries of ``data.json``, oldest first; empty if the data stayed as it was."""
    try:
        return read_json(run.path / "data.json", list[DataNow])
    except FileNotFoundError:
        return []


def current(run: Run) -> RecordedDataset | None:
    """The data to train on now; None for a run that is no training."""
    known = history(run)
    return known[-1].dataset if known else run.record.dataset


def set_aside(run: Run) -> dict[str, str]:
    """Verification sets that are left out, name to reason."""
    known = history(run)
    return known[-1].set_aside if known else run.record.set_aside


def describe(run: Run) -> dict[str, Any]:
    """The data as JSON values; empty ones for what can't be read."""
    try:
        known, now, aside = history(run), current(run), set_aside(run)
    except ArctermError:
        known, now, aside = [], None, {}
    return {
        "dataset": msgspec.to_builtins(now),
        "set_aside": aside,
        "accepted": [entry.t for entry in known if entry.accepted],
    }


def go_on_with(run: Run, dataset: RecordedDataset, set_aside: dict[str, str], *, accepted: bool) -> None:
    """Record the data to train on from now on.

    Accepted data gets new records of broken images: the old ones are put aside.
    """
    entry = DataNow(t=time.time(), dataset=dataset, set_aside=set_aside, accepted=accepted)
    write_json(run.path / "data.json", [*history(run), entry])
    if accepted and (run.path / "quarantine").exists():
        (run.path / "quarantine").rename(run.path / f"quarantine.old-{ulid()}")


def accepted_since(run: Run, t: float) -> bool:
    """Whether other data than at `t`, seconds since 1970, was accepted."""
    return any(entry.accepted and entry.t > t for entry in history(run))


def changed(was: RecordedDataset, now: DatasetFacts) -> str:
    """The difference of data from its record, as text; empty if there is none.

    A fingerprint recorded by an older arcterm is compared with what it would record today.
    """
    counts = f"{now.images:,} images of {now.classes:,} people"
    if (was.images, was.classes) != (now.images, now.classes):
        return f"{counts}, it had {was.images:,} of {was.classes:,}"
    if was.fingerprint in (now.fingerprint, *now.earlier):
        return ""
    train, sets = (_halves(was.fingerprint), _halves(now.fingerprint))
    if train and sets and train[0] == sets[0]:
        return "the images are the same, the verification sets are not"
    return f"{counts} as before, but with other labels, contents or order"


def changed_error(run: Run, difference: str) -> DataError:
    """The error of a resume whose data differs from the start of the run."""
    return DataError(
        f"the data set changed since the run was made: {difference}",
        f"put the data back; or go on with it as it is: `arcterm resume {run.id} --accept-changed-data`; "
        "or start a new run",
    )


def _halves(fingerprint: str) -> list[str]:
    """Fingerprints of training data and of verification sets; [] if they are not apart."""
    version, *halves = fingerprint.split(":")
    return halves if version == "2" and len(halves) == 2 else []
