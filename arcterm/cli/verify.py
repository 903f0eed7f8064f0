"""``arcterm verify``: score a model on verification sets."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from arcterm_registry import get

from arcterm.cli import completing
from arcterm.cli.jobs import job_parameters, launcher_of, put_dry_run
from arcterm.cli.options import parameter, set_parameters
from arcterm.show.output import put_detached, put_json, say, say_waiting

_HELP = """Score a model on verification sets: accuracy, TAR at FAR, ROC, EER, and the wrong pairs.

Without sets a run is scored on those of its data.
"""


def _run(
    model: str,
    sets: list[Path],
    *,
    detach: bool,
    plain: bool,
    as_json: bool,
    runs_dir: Path | None,
    nproc: int | None,
    gpus: str | None,
    after: str | None,
    launcher: str | None,
    launcher_set: list[str],
    dry_run: bool,
    **given: Any,
) -> None:
    from arcterm.cli.runs.watch import watch
    from arcterm.config import job_config
    from arcterm.launch import start, verification
    from arcterm.runs import store

    root = store.runs_dir(runs_dir)
    say_waiting(f"verifying {model}")
    options = {name: value for name, value in given.items() if value is not None}
    config = job_config(verification.NAME, [model, *sets], options)
    before = store.find(root, after) if after else None
    chosen = launcher_of({"launcher": launcher, "launcher_set": launcher_set})
    where: dict[str, Any] = {"gpus": gpus, "nproc": nproc, "launcher": chosen, "after": before, "say": say}
    if dry_run:
        put_dry_run(start.prepare_job(config, root, **where), root, as_json)
        return
    job = start.job(config, root, argv=sys.argv, **where)
    if detach:
        put_detached(job, as_json)
        return
    say(f"verifying as {job.id}")
    try:
        watch(job, plain=plain or as_json, as_json=False, owner=True, talk=as_json)
    finally:
        if as_json:
            put_json(_described(job))


def _described(job: Any) -> dict[str, Any]:
    """What `arcterm show --json` prints, with all that was measured of each set."""
    from arcterm.runs.describe import describe
    from arcterm.runs.reader import Reader

    described = describe(Reader(job, check=True))
    report = described.get("report") or {"data": {}}
    for measured in report["data"].get("verification", []):
        described["verification"].setdefault(measured["set"], {}).update(measured)
    return described


def _parameters() -> list[inspect.Parameter]:
    """The command's parameters: those of its declaration, but that the model may be left out."""
    about = typer.Argument(
        metavar="[MODEL]",
        help="A run, a checkpoint, or a model file of any kind; the newest training.",
        show_default=False,
        autocompletion=completing.runs,
    )
    declared = job_parameters(get("job", "arcterm:verify"))
    rest = [each for each in declared if each.name not in ("model", "sets")]
    places = typer.Argument(
        metavar="[SET.bin|PACK|DIR]...",
        help="Verification sets, or folders that hold some.",
        show_default=False,
    )
    return [
        parameter("model", Annotated[str, about], "last"),
        parameter("sets", Annotated[list[Path], places], []),
        *rest,
    ]


def verify(**given: Any) -> None:
    _run(given.pop("model"), given.pop("sets"), **given)


set_parameters(verify, _parameters(), _HELP)
