"""``arcterm runs`` and ``arcterm show``: every run in a row, one run in full."""

from __future__ import annotations

import datetime
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from arcterm.cli.options import AnyRun, Json, RunsDir
from arcterm.errors import ArctermError, ConfigError
from arcterm.show.output import put, put_json, say, table
from arcterm.text import byte_size

if TYPE_CHECKING:
    from arcterm.inputs.uses import Use
    from arcterm.runs.query import Query
    from arcterm.runs.reader import Reader
    from arcterm.runs.store import Run


Filter = Annotated[
    str,
    typer.Option(
        "--filter",
        metavar="FILTER",
        help="Runs to list: lr>=0.05 OR name:x -tag:old has:note state:failed best>98.",
        show_default=False,
    ),
]
Sort = Annotated[
    str,
    typer.Option(
        "--sort",
        metavar="KEY",
        help="Sort by any key of a filter; -KEY from the largest on.",
        show_default=False,
    ),
]


def runs(filter: Filter = "", sort: Sort = "", as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """List the runs, newest first."""
    from arcterm.runs import query, store
    from arcterm.runs.engines import record
    from arcterm.runs.reader import Reader

    root = store.runs_dir(runs_dir)
    asked = query.parse(filter)
    _ask_engines([store.Run(root / name) for name in record.held(root)])
    found, others = store.scan(root)
    readers = [Reader(run, check=as_json) for run in found]
    if asked.text or sort:
        readers = _chosen(readers, asked, sort)
    described = list(_described(readers))
    if as_json:
        put_json(described)
    elif described:
        put(*_table(described))
    elif found:
        say(f"no run of {len(found):,} in {root} is found by --filter {asked.text!r}")
    else:
        say(f"no runs in {root}; `arcterm train tiny arcface` starts one")
    if asked.text and described and not as_json:
        say(f"{len(described):,} of {len(found):,} runs")
    if others:
        what = "1 other entry is no run" if others == 1 else f"{others} other entries are no runs"
        say(f"{root}: {what}")


def _ask_engines(runs: Sequence[Run]) -> None:
    """Ask the engines that hold some of the `runs` about them; says which of them do not answer."""
    from arcterm.runs.engines import record

    if any((run.path / record.NAME).exists() for run in runs):
        from arcterm.launch import engine  # slow to import, and most runs are of this machine

        say(*engine.refresh(runs))


def _chosen(readers: Sequence[Reader], asked: Query, sort: str) -> list[Reader]:
    """The runs that a filter finds, sorted; raises `ConfigError` for a key that none of them has."""
    from arcterm.runs import query
    from arcterm.runs.query import facts

    known = [(facts.found(reader), reader) for reader in readers]
    keys = facts.keys(run for run, _ in known)
    asked.check(keys)
    kept = [pair for pair in known if asked.matches(pair[0].values)]
    key = sort.removeprefix("-").lower().replace("-", "_")
    if key:
        if key not in keys:
            raise ConfigError(f"no run has {key} to be sorted by", "any key of a filter can be named")
        kept = query.sort(kept, lambda pair: pair[0].values, key, sort.startswith("-"))
    return [reader for _, reader in kept]


def _table(described: list[dict[str, Any]]) -> list[str]:
    """A row for each run; tags, what it waits for and why it is damaged have columns where there are any."""
    header = ["RUN", "STATE", "STEP", "LOSS", "BEST", "CREATED (UTC)", "SIZE", "TAGS", "WAITS", "DAMAGE"]
    rows = [
        [
            d["name"] or d["id"],
            d["state"],
            _steps(d),
            _number(d["loss"]),
            _best(d),
            d["created"][:16],
            byte_size(d["bytes"]),
            " ".join(d["tags"]),
            d["reason"] or "" if d["state"] == "queued" else "",
            d["reason"] if d["state"] == "damaged" else "",
        ]
        for d in described
    ]
    shown = [i for i in range(len(header)) if i < 7 or any(row[i] for row in rows)]
    lines = [[row[i] for i in shown] for row in [header, *rows]]
    return table(lines[0], lines[1:], right=frozenset({2, 3, 6}))


def _host(host: dict[str, Any]) -> str:
    return f"{host['name']} ({host['address']}): ranks {', '.join(map(str, host['ranks']))}"


def show(name: AnyRun = "last", as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Show one run in full."""
    run = find_run(name, runs_dir)
    _ask_engines([run])
    described = describe_run(run, as_json)
    if as_json:
        put_json(described)
        return
    config = described["config"] or {}
    for key in ("id", "name", "path", "created", "state", "reason"):
        if described[key] is not None:
            put(f"{key:<18}{described[key]}")
    put(*_engine_lines(described["engine"]))
    put(f"size              {byte_size(described['bytes'])}")
    if described["tags"]:
        put(f"tags              {' '.join(described['tags'])}")
    put(*(f"note              {line}" for line in described["note"].splitlines()))
    for ended in described["attempts"][: None if len(described["attempts"]) > 1 else 0]:
        put(f"attempt {ended['attempt']:<10}{ended['state']} at step {ended['step']:,}: {ended['reason']}")
    if config.get("kind") == "job":
        _show_job(described)
    else:
        _show_training(described)
    put(*(f"stopping          {text}" for text in (described["stop_costs"] or {}).values()))
    put(*(f"host              {_host(host)}" for host in described["hosts"]))
    held = [(rank["rank"], rank["gpu_peak"]) for rank in described["ranks"] if rank.get("gpu_peak")]
    put(*(f"GPU memory        rank {rank}: {byte_size(peak)} at most" for rank, peak in held))
    for key, value in config.items():
        put(f"config            {key} = {value}")
    if failure := described["failure"]:
        where = f"{failure['host']}: " if failure["host"] else ""
        put(f"failure           {where}{failure['cause']}")
        if failure["hint"]:
            put(f"next step         {failure['hint']}")
        if failure["traceback"]:
            put(*failure["traceback"].splitlines())
    if described.get("report"):
        put("", *described["report"]["lines"])


def _engine_lines(held: dict[str, Any] | None) -> list[str]:
    """A line about the engine that holds a run."""
    if held is None:
        return []
    where = f" on {', '.join(held['hosts'])}" if held["hosts"] else ""
    logs = [f"engine log        {path}" for path in held["logs"]]
    return [f"engine            {held['launcher']} {held['id']}: {held['state']}{where}", *logs]


def _show_job(described: dict[str, Any]) -> None:
    """How far a job is, how to ask for it again, and what it made."""
    put(f"command           {described['command']}")
    if phase := described["phase"]:
        counted = f" {phase['done']:,}/{phase['total']:,}" if phase["total"] else ""
        put(f"phase             {phase['phase']}{counted} {phase['detail']}".rstrip())
    if report := described["report"]:
        put(f"problems          {report['problems']}")
        if report["result"]:
            put(f"result            {report['result']}")


def _show_training(described: dict[str, Any]) -> None:
    """Print a training's progress, verifications, changes, checkpoints and skipped records."""
    from arcterm.show import words
    from arcterm.show.eventlines import unreadable

    for key in ("step", "steps", "epoch", "loss", "accuracy"):
        if described[key] is not None:
            put(f"{key:<18}{described[key]}")
    for key in ("angle", "active", "lr", "gradient_norm", "images_per_second", "data_wait", "eta_seconds"):
        if described[key] is not None:
            put(f"{key:<18}{_number(described[key])}")
    if mined := described["mined"]:
        put(
            f"mined             round {mined['round']} at step {mined['step']}: "
            f"{mined['triplets']} triplets of {mined['pairs']} pairs in {mined['images']} images"
        )
    for set_name, result in described["verification"].items():
        put(f"verification      {set_name} {_verified(result)}")
    for set_name, reason in described["set_aside"].items():
        put(f"set aside         {set_name}: {reason}")
    for t in described["accepted"]:
        when = datetime.datetime.fromtimestamp(t, datetime.UTC)
        put(f"changed data      accepted {when:%Y-%m-%d %H:%M} UTC")
    put(*(f"tracker           {words.tracked(tracker)}" for tracker in described["trackers"]))
    for change in described["history"]:
        when = datetime.datetime.fromtimestamp(change["t"], datetime.UTC)
        what = words.changed(change["settings"])
        put(f"changed           {when:%Y-%m-%d %H:%M} UTC, step {change['step']}: {what} ({change['why']})")
    for saved in described["checkpoints"]:
        put(f"checkpoint        step {saved['step']}  {saved['bytes'] / 2**20:.1f} MiB  {saved['path']}")
    lost = unreadable(described["corrupt_reasons"])
    put(*(f"alert             {text}" for text in filter(None, [*described["alerts"], lost])))
    for event in described["skipped"]:
        put(f"skipped           {event['source']}: {event['reason']}")
    if described["skipped"]:
        newest = max(described["skipped"], key=lambda event: int(event["count"]))
        put(f"skipped           {newest['count']:,} of {newest['total']:,} records in all")


def _described(readers: Iterable[Reader]) -> Iterator[dict[str, Any]]:
    """Describe runs; one that is removed meanwhile is left out."""
    from arcterm.runs.describe import describe

    for reader in readers:
        try:
            described = describe(reader)
        except (ArctermError, OSError):
            if os.path.lexists(reader.run.path):
                raise
        else:
            if os.path.lexists(reader.run.path):
                yield described


def find_run(name: str, runs_dir: Path | None, use: Use | None = None) -> Any:
    from arcterm.runs import store

    return store.find(store.runs_dir(runs_dir), name, use)


def describe_run(run: Run, check: bool) -> dict[str, Any]:
    """Describe a run; its corrupt records are all counted if it is to `check` them."""
    from arcterm.runs.describe import describe
    from arcterm.runs.reader import Reader

    return describe(Reader(run, check=check))


def _steps(described: dict[str, Any]) -> str:
    """Steps made of those to make; of a job without steps what is done in its phase."""
    if described["config"] is None:
        return ""
    if described["steps"] or described["config"]["kind"] == "training":
        return f"{described['step']}/{described['steps']}"
    phase = described["phase"]
    return f"{phase['done']}/{phase['total']}" if phase else ""


def _verified(result: dict[str, Any]) -> str:
    """The newest result of a verification set and its best; why there is none where it is withheld."""
    from arcterm.show import words

    best, withheld = result["best_accuracy"], result["withheld"] or result["collapse"]
    said = f"{words.score(result['accuracy'], result['std'])} at step {result['step']}"
    said += f", best {best:.4f} at step {result['best_step']}" if best is not None else ""
    return f"{said} ({withheld})" if withheld else said


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.4g}"


def _best(described: dict[str, Any]) -> str:
    """The best of each verification set; else what a job found or made."""
    if described.get("report") and not described["verification"]:
        report = described["report"]
        found = f"{report['problems']} problem{'s' * (report['problems'] != 1)}"
        return found if report["problems"] else Path(report["result"]).name
    return "  ".join(
        f"{name} –" if (best := result["best_accuracy"]) is None else f"{name} {best:.4f}"
        for name, result in described["verification"].items()
    )
