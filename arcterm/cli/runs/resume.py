"""``arcterm resume``: go on with a run, with what must change."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from arcterm.cli import completing
from arcterm.cli.hosts import asked_hosts, for_launcher, host_parameters, join
from arcterm.cli.options import (
    Json,
    Plain,
    RunsDir,
    help_of,
    launcher_option,
    parameter,
    set_parameters,
)
from arcterm.commandline import flag
from arcterm.overrides import check_settings, merge, parse_assignments
from arcterm.settings import BY_NAME
from arcterm.show.output import ProgressLine, put, put_detached, put_json, say, say_waiting

_HELP = """Go on from the newest whole checkpoint; a job goes on where it was stopped.

A training may go on with other devices, another batch, rate or length, and with its data moved: --dry-run
says what that changes. Everything else stays; a new run with --pretrained may change it.
"""

_FLAGS = {
    "nproc": "Ranks from now on; the images of a step are shared by them.",
    "gpus": "GPUs from now on, as nvidia-smi counts, e.g. 0,2; none for the CPU.",
    "batch_size": "Images per rank from now on.",
    "lr": "Peak learning rate from now on.",
    "epochs": "Passes over the data in all, beyond the end too.",
    "steps": "Steps in all, beyond the end too.",
    "on_nan": "",
    "retries": "",
    "launcher": "",
}
"""The flags of settings, with their help where that of the setting does not say what a resume does."""


def _run(
    name: str,
    *,
    dataset: str | None,
    assignments: list[str],
    accept_changed_data: bool,
    from_start: bool,
    wait: bool,
    dry_run: bool,
    detach: bool,
    plain: bool,
    as_json: bool,
    runs_dir: Path | None,
    **flags: Any,
) -> None:
    from arcterm.inputs import uses
    from arcterm.launch import devices
    from arcterm.launch.hosts import joining
    from arcterm.launch.resume import resumption
    from arcterm.runs import store

    hosts = asked_hosts(flags)
    given = {"dataset": dataset, **flags}
    layer = check_settings({key: value for key, value in given.items() if value is not None}, "resume")
    asked = merge(parse_assignments(assignments), layer)
    use = uses.LONGER if {"steps", "epochs"} & asked.keys() else uses.RESUMABLE
    if hosts and not hosts.is_first():
        run = joining.find(hosts, store.runs_dir(runs_dir), say)
        join(run, hosts, detach=detach, plain=plain, as_json=as_json)
        return
    run = store.find(store.runs_dir(runs_dir), name, use)
    if hosts:
        asked, hosts = for_launcher(asked, hosts, asked.get("launcher") or run.record.config.launcher)
    if hosts:
        hosts.check_place()
    if wait:
        resumption.wait_until_free(run, say)
    begun = resumption.prepare(
        run,
        asked,
        why=shlex.join(["arcterm", *sys.argv[1:]]),
        accept_changed_data=accept_changed_data,
        from_start=from_start,
        progress=ProgressLine("looking at the data"),
        hosts=hosts,
    )
    say(*(f"warning: {warning}" for warning in begun.warnings), *(f"  {line}" for line in begun.lines))
    if dry_run:
        _put_plan(begun, as_json)
        return
    before = run.attempts()
    if begun.config.ranks:
        say_waiting(f"resuming {run.name}")
    begun.start()
    here = not begun.config.is_remote
    if here and (where := devices.moved(begun.config, devices.today(begun.config, run.id))):
        say(f"{run.name} goes on {where}")
    if detach:
        put_detached(run, as_json)
        return
    from arcterm.cli.runs.watch import watch

    watch(run, plain=plain, as_json=as_json, owner=True, after=before)


def _put_plan(begun: Any, as_json: bool) -> None:
    """Write what a resume would change, and start nothing."""
    from arcterm.launch import engine

    handed = (
        "" if begun.config.is_local else engine.describe(begun.config, begun.run.path.parent, begun.run.name)
    )
    if as_json:
        import msgspec

        put_json(
            {
                "id": begun.run.id,
                "step": begun.step,
                "settings": begun.settings,
                "config": msgspec.to_builtins(begun.config),
                "warnings": begun.warnings,
                **({"submission": handed} if handed else {}),
            }
        )
        return
    put(*handed.splitlines())
    if not begun.lines:
        put(f"{begun.run.name} goes on from step {begun.step:,}; nothing changes")


def _parameters() -> list[Any]:
    def option(kind: Any, name: str, words: str, **more: Any) -> Any:
        return Annotated[kind, typer.Option(name, help=words, show_default=False, **more)]

    ended = "last is the newest training or job that was stopped, has failed or is lost."
    run = typer.Argument(
        metavar="[RUN]", help=f"A run's id, name or path; {ended}", autocompletion=completing.runs
    )
    changed = "Go on with other data than it was made with; a job begins again."
    moved = "Where the data is now, the same as before."
    every = "key=value for other settings that may change, e.g. keep_last=5."
    annotations: dict[str, Any] = {
        "name": Annotated[str, run],
        **{
            key: option(BY_NAME[key].type | None, flag(key), words or help_of(BY_NAME[key]))
            for key, words in _FLAGS.items()
        },
        "launcher": launcher_option(),
        "dataset": option(str | None, "--dataset", moved),
        "assignments": option(list[str], "--set", every, autocompletion=completing.settings),
        "accept_changed_data": option(bool, "--accept-changed-data", changed),
        "from_start": option(bool, "--from-start", "Begin at step 0 if no checkpoint is whole."),
        "wait": option(bool, "--wait", "Wait until a silent host is no longer believed."),
        "detach": option(bool, "--detach", "Start it and return."),
        "dry_run": option(bool, "--dry-run", "Check everything, start nothing."),
        **host_parameters(),
        "plain": Plain,
        "as_json": Json,
        "runs_dir": RunsDir,
    }
    defaults: dict[str, Any] = {"name": "last", "assignments": [], **dict.fromkeys(_FLAGS)}
    defaults |= {"dataset": None, "runs_dir": None, **dict.fromkeys(host_parameters())}
    return [parameter(key, kind, defaults.get(key, False)) for key, kind in annotations.items()]


def resume(**given: Any) -> None:
    _run(**given)


set_parameters(resume, _parameters(), _HELP)
