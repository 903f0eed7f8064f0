"""``arcterm plan``: what a training would take on N hosts."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from arcterm.cli.options import parameter, set_parameters
from arcterm.cli.train import layers, setting_parameters
from arcterm.errors import ConfigError
from arcterm.show.output import ProgressLine, put, put_json, say_waiting

_HELP = """Say what a training would take on N hosts: memory, a step by part, a checkpoint, an epoch.

It takes the settings of `arcterm train` and starts nothing; an elastic one, --nnodes MIN:MAX, is planned on
both ends. It reckons with what steps, collectives and
writing take on this machine, which it tries for some seconds, or with the constants of another one.
"""


def _run(
    data: str | None,
    *,
    classes: int | None,
    images: int | None,
    nnodes: str,
    constants: Path | None,
    measure: bool,
    output: Path | None,
    as_json: bool,
    runs_dir: Path | None,
    **given: Any,
) -> None:
    from arcterm.launch.hosts.asked import parse
    from arcterm.launch.scaling import constants as files
    from arcterm.launch.scaling import words
    from arcterm.launch.scaling.plan import outlooks

    hosts = parse(nnodes, None, None)
    if constants and measure:
        raise ConfigError("--constants and --measure are both given", "give one of them")
    settings = layers(**_with_data(given, data, classes, images))
    known = files.read(constants) if constants else None
    if not known:
        say_waiting("measuring what is not known of this machine")
    found = outlooks(
        settings, hosts, known, root=runs_dir, anew=measure, progress=ProgressLine("getting the data ready")
    )
    if output:
        files.write(output, found[0].constants)
    if as_json:
        put_json([words.to_builtins(each) for each in found])
    else:
        for number, each in enumerate(found):
            put(*[""] * (number > 0), *words.lines(each))


def _with_data(
    given: dict[str, Any], data: str | None, classes: int | None, images: int | None
) -> dict[str, Any]:
    """Let `given` name the data: a data set, or so many images of so many people that need not be there."""
    if (classes is None) != (images is None):
        missing = "--images" if images is None else "--classes"
        raise ConfigError(f"{missing} is missing", "give --classes and --images, or a data set")
    if data and given.get("dataset"):
        raise ConfigError("the data set is given twice", "leave out --dataset")
    if classes is None:
        return given | ({"dataset": data} if data else {})
    if data or given.get("dataset"):
        raise ConfigError(
            "--classes and --images stand for data that is not there, and a data set is given",
            "leave out one of them",
        )
    sizes = [f"dataset.classes={classes}", f"dataset.images={images}"]
    return given | {"dataset": "synthetic", "assignments": [*given["assignments"], *sizes]}


def _parameters() -> list[inspect.Parameter]:
    def option(kind: Any, name: str, words: str, *more: str) -> Any:
        return Annotated[kind, typer.Option(name, *more, help=words, show_default=False)]

    place = typer.Argument(
        metavar="[DATASET]",
        help="Name or directory, as --dataset.",
        show_default=False,
    )
    first, second, *rest = setting_parameters()
    own = {
        "classes": (option(int | None, "--classes", "People of data that is not there."), None),
        "images": (option(int | None, "--images", "Images of all of them."), None),
        "nnodes": (
            option(str, "--nnodes", "Hosts, N or MIN:MAX; --nproc and --gpus are each one's."),
            "1",
        ),
        "constants": (option(Path | None, "--constants", "A file of constants of another machine."), None),
        "measure": (option(bool, "--measure", "Measure this machine anew."), False),
        "output": (option(Path | None, "--output", "Write the constants to this file.", "-o"), None),
        "as_json": (option(bool, "--json", "Print JSON for scripts."), False),
        "runs_dir": (option(Path | None, "--runs-dir", "Where runs live; ARCTERM_RUNS, else ./runs."), None),
    }
    return [
        first,
        second,
        parameter("data", Annotated[str | None, place], None),
        *rest,
        *(parameter(name, kind, default) for name, (kind, default) in own.items()),
    ]


def plan(**given: Any) -> None:
    _run(given.pop("data"), **given)


set_parameters(plan, _parameters(), _HELP)
