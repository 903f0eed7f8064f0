"""All that is known of a run as plain values, for scripts."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from arcterm.config import Augmentation, Config
from arcterm.errors import ArctermError, DataError
from arcterm.files import read_json
from arcterm.runs import advice, checkpoints, dataset, history, notes, space, trackers
from arcterm.runs.diagnosis import alerts, read_ends
from arcterm.runs.engines import record as engine
from arcterm.runs.events import Real
from arcterm.runs.notes import Notes
from arcterm.runs.reader import Reader
from arcterm.runs.reading.summary import Summary, own_gpus
from arcterm.runs.report import read_report
from arcterm.runs.state import LIVE, Launch, State, damage, read_state
from arcterm.runs.store import Run, RunRecord, recorded

_SCORES = ("loss", "accuracy", "angle")
_PACE = ("lr", "gradient_norm", "images_per_second", "data_wait")


def describe(reader: Reader) -> dict[str, Any]:
    """Return what ``arcterm show --json`` prints: plain values, accuracies as fractions.

    A job has also its command, its phase and its report. Of a run that is damaged, what can be read; `reason`
    says what can't.
    """
    run, summary = reader.run, reader.refresh()
    state = reader.judge(read_state(run))
    record, last = recorded(run), summary.last_step
    config = record.config if record else None
    gpus = own_gpus(config, summary)
    state, noted = _notes(run, state)
    described = {
        "id": run.id,
        "name": record.name or None if record else None,
        "path": os.path.realpath(run.path),
        "created": run.created,
        "tags": list(noted.tags),
        "note": noted.text,
        "bytes": space.used_bytes(run.path),
        "state": state.state,
        "reason": state.reason or None,
        "engine": _describe_engine(run),
        "failure": msgspec.to_builtins(state.failure),
        "attempt": summary.attempt or state.attempt,
        "attempts": msgspec.to_builtins(read_ends(run)),
        "step": max(summary.step, state.step),
        "steps": summary.total_steps or getattr(config, "steps", 0),
        "epoch": last.epoch if last else None,
        **{key: _number(record, getattr(last, key, None)) for key in _SCORES},
        **{key: getattr(last, key, None) for key in ("active", "teacher")},
        "mined": msgspec.to_builtins(summary.mined[-1]) if summary.mined else None,
        **{key: getattr(last, key, None) for key in _PACE},
        "eta_seconds": summary.eta() if state.state == "running" else None,
        "verification": _describe_verification(summary),
        "checkpoints": _describe_checkpoints(run),
        "gpus": msgspec.to_builtins([gpu for _, gpu in gpus]),
        "alerts": [alert.text for alert in alerts.find(summary, gpus)] if state.state in LIVE else [],
        "hosts": _hosts(run),
        "ranks": [msgspec.to_builtins(rank) for _, rank in sorted(summary.ranks.items())],
        "skipped": [msgspec.to_builtins(skipped) for skipped in summary.skipped.values()],
        "corrupt_records": reader.essentials.corrupt,
        "corrupt_reasons": dict(sorted(reader.essentials.unreadable.items())),
        "stop_costs": advice.stopping(run, summary)._asdict() if record and state.state in LIVE else None,
        "trackers": trackers.describe(run),
        **dataset.describe(run),
        "history": history.describe(run) if record else [],
        # what was chosen comes before how images are changed
        "config": config and dict(sorted(msgspec.to_builtins(config).items(), key=_augments)),
    }
    return described | _describe_job(reader, config, described)


def _number(record: RunRecord | None, value: Real | None) -> Real | None:
    """A number of a step as it is written; None for what another program's log does not say."""
    return None if record is not None and record.number(value) is None else value


def _notes(run: Run, state: State) -> tuple[State, Notes]:
    """A run's state and notes; it is damaged where they can't be read."""
    try:
        return state, notes.read(run)
    except DataError as error:
        reasons = [state.reason] if state.state == "damaged" else []
        reason = "; ".join([*reasons, damage(run, error)])
        return msgspec.structs.replace(state, state="damaged", reason=reason), notes.NONE


def _describe_verification(summary: Summary) -> dict[str, Any]:
    """The last result of each set, and its best."""
    described = {}
    for name, results in summary.verification.items():
        if results:
            best, latest = summary.best(name), msgspec.to_builtins(results[-1])
            described[name] = {k: v for k, v in latest.items() if k not in ("k", "t", "set")} | {
                "best_accuracy": best.accuracy if best else None,
                "best_step": best.step if best else None,
            }
    return described


def _describe_checkpoints(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "step": manifest.step,
            "path": str(path.resolve()),
            "bytes": sum(digest.size for digest in manifest.files.values()),
            "verification": manifest.verification,
        }
        for path, manifest in checkpoints.list_checkpoints(run)
    ]


def _describe_engine(run: Run) -> dict[str, Any] | None:
    """What its engine last said of it; None of a run of this machine, or where that can't be read."""
    try:
        return msgspec.to_builtins(engine.read(run))  # type: ignore[no-any-return]
    except (DataError, OSError):
        return None


def _hosts(run: Run) -> list[dict[str, Any]]:
    """The hosts of the last attempt and the numbers of their ranks; empty for a run on one."""
    try:
        launch = read_json(run.attempt_dir(run.attempts()) / "launch.json", Launch)
    except (DataError, OSError):
        return []
    return [msgspec.to_builtins(host) for host in launch.hosts]


def _augments(item: tuple[str, Any]) -> bool:
    return item[0] in Augmentation.__struct_fields__


def _describe_job(reader: Reader, config: Config | None, described: dict[str, Any]) -> dict[str, Any]:
    if config is None or config.kind == "training":
        return {}
    phase, shown = reader.summary.phase, ("phase", "detail", "done", "total")
    found: dict[str, Any] = {
        "command": config.command,
        "phase": {key: getattr(phase, key) for key in shown} if phase else None,
        "report": None,
    }
    try:
        return found | {"report": msgspec.to_builtins(read_report(reader.run))}
    except (ArctermError, OSError) as error:
        reasons = [described["reason"]] if described["state"] == "damaged" else []
        return found | {"state": "damaged", "reason": "; ".join([*reasons, damage(reader.run, error)])}
