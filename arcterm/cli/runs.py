"""Commands about runs: list, show, attach, stop, resume, verify, remove, and the console."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from arcterm.cli.options import Json, Plain, RunName, RunsDir, put, put_detached, put_json, say, table
from arcterm.errors import RunError


def runs(as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """List the runs, newest first."""
    from arcterm.runs import store
    from arcterm.runs.summary import describe

    root = store.runs_dir(runs_dir)
    described = [describe(run) for run in store.list_runs(root)]
    if as_json:
        put_json(described)
        return
    if not described:
        say(f"no runs in {root}; `arcterm train tiny arcface` starts one")
        return
    rows = [
        [
            d["name"] or d["id"],
            d["state"],
            f"{d['step']}/{d['steps']}",
            _number(d["loss"]),
            _best(d),
            d["created"][:16],
        ]
        for d in described
    ]
    put(table(["RUN", "STATE", "STEP", "LOSS", "BEST", "CREATED (UTC)"], rows, right=frozenset({2, 3})))


def show(name: RunName, as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Show one run in full."""
    from arcterm.runs.summary import describe

    described = describe(_find(name, runs_dir))
    if as_json:
        put_json(described)
        return
    for key in (
        "id",
        "name",
        "path",
        "created",
        "state",
        "reason",
        "step",
        "steps",
        "epoch",
        "loss",
        "accuracy",
    ):
        if described[key] is not None:
            put(f"{key:<18}{described[key]}")
    for key in ("angle", "active", "lr", "images_per_second", "data_wait", "eta_seconds"):
        if described[key] is not None:
            put(f"{key:<18}{_number(described[key])}")
    if mined := described["mined"]:
        put(
            f"mined             round {mined['round']} at step {mined['step']}: "
            f"{mined['triplets']} triplets of {mined['pairs']} pairs in {mined['images']} images"
        )
    for set_name, result in described["verification"].items():
        put(
            f"verification      {set_name} {result['accuracy']:.4f} ± {result['std']:.4f} "
            f"at step {result['step']}, best {result['best_accuracy']:.4f} at step {result['best_step']}"
        )
    for saved in described["checkpoints"]:
        put(f"checkpoint        step {saved['step']}  {saved['bytes'] / 2**20:.1f} MiB  {saved['path']}")
    for key, value in described["config"].items():
        put(f"config            {key} = {value}")
    if described["failure"]:
        put(f"failure           {described['failure']['cause']}")
        put(described["failure"]["traceback"])


def attach(name: RunName, plain: Plain = False, as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Watch a run; Ctrl-C leaves, the run goes on."""
    from arcterm.cli.watch import watch

    watch(_find(name, runs_dir), plain=plain, as_json=as_json, owner=False)


def stop(
    name: RunName,
    now: Annotated[bool, typer.Option("--now", help="At once, without a checkpoint.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it has stopped.")] = True,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Stop a run after a checkpoint."""
    from arcterm.launch import start
    from arcterm.runs.state import LIVE, read_state
    from arcterm.runs.summary import describe

    run = _find(name, runs_dir)
    start.stop(run, now=now)
    say(f"asked {run.name} to stop {'at once' if now else 'after a checkpoint; --now does not wait for one'}")
    while wait and read_state(run).state in LIVE:
        time.sleep(0.1)
    if as_json:
        put_json(describe(run))
    elif wait:
        ended = read_state(run)
        put(f"{run.name} is {ended.state}: {ended.reason}")


def resume(
    name: RunName,
    detach: Annotated[bool, typer.Option("--detach", help="Start it and return.")] = False,
    plain: Plain = False,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Go on from the newest whole checkpoint."""
    from arcterm.cli.watch import watch
    from arcterm.launch import start

    run = _find(name, runs_dir)
    before = run.attempts()
    start.resume(run)
    if detach:
        put_detached(run, as_json)
        return
    watch(run, plain=plain, as_json=as_json, owner=True, after=before)


def verify(
    name: RunName,
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="last, best, or a step.")] = "last",
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Verify a checkpoint of a run."""
    from arcterm.cli.watch import verify_words, watch
    from arcterm.launch import start
    from arcterm.runs import store
    from arcterm.runs.summary import summarize

    root = store.runs_dir(runs_dir)
    job = start.verify(store.find(root, name), root, which=checkpoint, argv=sys.argv)
    say(f"verifying as {job.id}")
    if as_json:
        watch(job, plain=True, as_json=True, owner=True)
        return
    watch(job, plain=False, as_json=False, owner=True)
    _, summary, _ = summarize(job)
    if not summary.verification:
        say("the data set has no verification sets")
    if sys.stdout.isatty():
        return
    for results in summary.verification.values():
        put(verify_words(results[-1]))


def rm(
    name: RunName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    runs_dir: RunsDir = None,
) -> None:
    """Remove a run with its checkpoints and logs."""
    from arcterm.runs import store
    from arcterm.runs.state import LIVE, is_locked, read_state

    run = _find(name, runs_dir)
    if read_state(run).state in LIVE or is_locked(run):
        raise RunError(f"{run.name} is being run", f"`arcterm stop {run.id}` first")
    if not yes and sys.stdin.isatty() and not typer.confirm(f"remove {run.path} and its checkpoints?"):
        raise typer.Exit(1)
    store.remove(run)
    say(f"removed {run.id}")


def tui(
    name: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="Open this run's dashboard.", show_default=False)
    ] = None,
    runs_dir: RunsDir = None,
) -> None:
    """Open the console."""
    from arcterm.console.app import run_console
    from arcterm.runs import store

    root = store.runs_dir(runs_dir)
    raise typer.Exit(run_console(root, store.find(root, name).id if name else None))


def _find(name: str, runs_dir: Path | None) -> Any:
    from arcterm.runs import store

    return store.find(store.runs_dir(runs_dir), name)


def _number(value: Any) -> str:
    return "" if value is None else f"{float(value):.4g}"


def _best(described: dict[str, Any]) -> str:
    return "  ".join(
        f"{name} {result['best_accuracy']:.4f}" for name, result in described["verification"].items()
    )
