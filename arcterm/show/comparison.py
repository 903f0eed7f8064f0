"""Several runs side by side: what differs in their configs, and their best verifications. Pure functions."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from arcterm.commandline import written
from arcterm.config import Config
from arcterm.runs.query.facts import RunFacts
from arcterm.runs.store import RunRecord
from arcterm.show.words import DASH, percent, short

_GROUPS = ("loss", "backbone", "dataset", "track")
_NO_SETTINGS = ("kind", "begins", "durations", *(f"{group}_options" for group in _GROUPS))
_FIRST = ("backbone", "loss", "dataset")


@dataclass(frozen=True)
class Setting:
    """A key with the value of each run as text; None where a run has no such thing."""

    key: str
    values: tuple[str | None, ...]

    @property
    def differs(self) -> bool:
        return len(set(self.values)) > 1


@dataclass(frozen=True)
class Result:
    """The best (accuracy, step) of a verification set for each run; None where a run has none."""

    name: str
    best: tuple[tuple[float, int] | None, ...]

    def difference(self, index: int, baseline: int) -> float | None:
        """By how much run `index` is better than the `baseline`, as a fraction."""
        ours, theirs = self.best[index], self.best[baseline]
        return None if ours is None or theirs is None or index == baseline else ours[0] - theirs[0]


def settings(runs: Sequence[RunFacts]) -> list[Setting]:
    """Return every setting of the runs, what they train first, then by name; then what they ran on."""
    records = [run.record for run in runs]
    return beside([dict([*of_config(r.config), *_surroundings(r)]) if r is not None else {} for r in records])


def beside(found: Sequence[Mapping[str, str]]) -> list[Setting]:
    """Return a row for each key of several tables of settings."""
    keys = dict.fromkeys([*_FIRST, *sorted({key for each in found for key in each}, key=_place)])
    rows = (Setting(key, tuple(each.get(key) for each in found)) for key in keys)
    return [row for row in rows if any(value is not None for value in row.values)]


def results(runs: Sequence[RunFacts]) -> list[Result]:
    """Return the best of each verification set, in order, and of several sets at one step the best mean."""
    names = dict.fromkeys(name for run in runs for name in run.bests)
    rows = [Result(name, tuple(run.bests.get(name) for run in runs)) for name in names]
    if len(names) > 1:
        means = tuple(run.best[1:] if run.best and run.best[0] == "mean" else None for run in runs)
        rows += [Result("mean", means)] if any(means) else []
    return rows


def score(best: tuple[float, int] | None) -> str:
    """``99.62 @46k``."""
    return DASH if best is None else f"{percent(best[0])} @{short(best[1])}"


def signed(difference: float | None) -> str:
    """``+1.30`` percentage points; ``0.00`` without a sign."""
    if difference is None:
        return ""
    text = f"{difference * 100:+.2f}"
    return text[1:] if text[1:] == "0.00" else text


def described(runs: Sequence[RunFacts], baseline: int, every: bool = False) -> dict[str, Any]:
    """Return the comparison as JSON values; accuracies and differences are fractions."""
    return {
        "baseline": runs[baseline].run.id,
        "runs": [
            {"id": run.run.id, "name": run.name, "state": run.word, "step": run.step, "steps": run.steps}
            for run in runs
        ],
        "settings": {row.key: list(row.values) for row in settings(runs) if every or row.differs},
        "verification": {
            result.name: [
                best and {"best": best[0], "step": best[1], "difference": result.difference(i, baseline)}
                for i, best in enumerate(result.best)
            ]
            for result in results(runs)
        },
    }


def as_csv(runs: Sequence[RunFacts], baseline: int, every: bool = False) -> str:
    """Return the comparison as CSV: a column for each run, a row for each setting, set and difference."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["key", *(run.name for run in runs)])
    writer.writerow(["id", *(run.run.id for run in runs)])
    writer.writerow(["state", *(run.word for run in runs)])
    writer.writerow(["step", *(run.step for run in runs)])
    for row in settings(runs):
        if every or row.differs:
            writer.writerow([row.key, *(value or "" for value in row.values)])
    for result in results(runs):
        writer.writerow([f"best {result.name}", *(best[0] if best else "" for best in result.best)])
        writer.writerow([f"step of best {result.name}", *(best[1] if best else "" for best in result.best)])
        differences = [result.difference(i, baseline) for i in range(len(runs))]
        writer.writerow([f"{result.name} against baseline", *("" if d is None else d for d in differences)])
    return file.getvalue()


def of_config(asked: Config) -> Iterator[tuple[str, str]]:
    """Yield each setting of a config as texts: a flat name, ``loss.margin`` for an option, and its value."""
    config = msgspec.to_builtins(asked)
    for key, value in config.items():
        if key not in _NO_SETTINGS and not isinstance(value, dict):
            yield key, _text(value)
    for group in _GROUPS:
        for key, value in config.get(f"{group}_options", {}).items():
            yield f"{group}.{key}", _text(value)
    for key, value in config.get("options", {}).items():
        yield key, _text(value)


def _surroundings(record: RunRecord) -> Iterator[tuple[str, str]]:
    """What a run was made of beside its settings; after them in the table."""
    yield "on host", record.host
    if record.git:
        yield "on git", record.git
    for name, version in record.versions.items():
        yield f"on {name}", version
    if record.dataset is not None:
        yield "on images", f"{record.dataset.images:,}"
        yield "on people", f"{record.dataset.classes:,}"


def _place(key: str) -> tuple[bool, str]:
    return key.startswith("on "), key


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else written(value)
