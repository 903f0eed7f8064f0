"""The command tree, of which only the command that is asked for is imported."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from arcterm import __version__
from arcterm.show.streams import shown

GROUPS = {
    "Train": {
        "train": ("arcterm.cli.train", "Train a BACKBONE with a LOSS; `arcterm plugins` lists both."),
        "plan": ("arcterm.cli.plan", "Say what a training takes on N hosts: memory, time, storage."),
        "recipes": ("arcterm.cli.recipes", "Recipes of trainings: list, show, import one."),
        "stop": ("arcterm.cli.runs.stop", "Stop a run after a checkpoint, a job after an item."),
        "resume": ("arcterm.cli.runs.resume", "Go on with a run or a job where it was stopped."),
    },
    "Watch": {
        "runs": ("arcterm.cli.runs.group", "List the runs, newest first; `runs import` reads logs."),
        "show": ("arcterm.cli.runs.listing", "Show one run in full."),
        "events": ("arcterm.cli.runs.events", "Print the events of a run, as they are written."),
        "tag": ("arcterm.cli.runs.notes", "Give a run tags, by which lists are filtered."),
        "note": ("arcterm.cli.runs.notes", "Write a note on a run, or read it."),
        "diff": ("arcterm.cli.runs.diff", "Show what differs between runs, and their best scores."),
        "attach": ("arcterm.cli.tui", "Watch a run; Ctrl-C leaves, the run goes on."),
        "tui": ("arcterm.cli.tui", "Open the console."),
        "serve": ("arcterm.cli.serve", "Show the console in a browser of this machine."),
        "chart": ("arcterm.cli.runs.chart", "Draw a metric of runs: as SVG, PNG, CSV, or here."),
        "monitor": ("arcterm.cli.monitor", "Watch this host: cores, GPUs, disks, processes."),
        "report": ("arcterm.cli.runs.report", "Write a report of runs as one HTML file."),
        "prune": ("arcterm.cli.runs.prune", "Remove old checkpoints and say what that frees."),
        "rm": ("arcterm.cli.runs.stop", "Remove a run with its checkpoints and logs."),
    },
    "Evaluate": {
        "verify": ("arcterm.cli.verify", "Score a model on verification sets."),
        "evaluate": ("arcterm.cli.jobs", "Score a model on IJB-B, IJB-C or TinyFace."),
        "megaface": ("arcterm.cli.jobs", "Features for MegaFace: export, clean, score."),
        "identify": ("arcterm.cli.jobs", "Say who is on each picture, of one's own people."),
    },
    "Data": {
        "data": ("arcterm.cli.jobs", "Make, check and reshape data sets."),
        "align": ("arcterm.cli.jobs", "Find the faces in photos and write them aligned."),
    },
    "Models": {
        "model": ("arcterm.cli.model", "Model files in and out."),
        "embed": ("arcterm.cli.trial", "Embed images with a model."),
        "compare": ("arcterm.cli.trial", "Say how alike two faces are."),
    },
    "Plug-ins": {
        "plugins": ("arcterm.cli.plugins", "List what can be picked, check a plug-in, begin one."),
        "job": ("arcterm.cli.jobs", "Jobs of installed packages."),
    },
    "Scripts of 2018": {
        "train-softmax": (
            "arcterm.cli.script2018.train_softmax",
            "InsightFace's train_softmax.py, by its options.",
        ),
        "gen-megaface": ("arcterm.cli.script2018.megaface", "InsightFace's gen_megaface.py, by its options."),
        "remove-noises": (
            "arcterm.cli.script2018.megaface",
            "InsightFace's remove_noises.py, by its options.",
        ),
    },
}
"""Module and help of each command, in the groups of ``arcterm --help``."""

COMMANDS = {name: found for group in GROUPS.values() for name, found in group.items()}

STOPPED = (typer.Abort, KeyboardInterrupt, EOFError)
"""Raised in a command by Ctrl-C, or by the end of the input at a question."""

USAGE: type[Exception] = typer.BadParameter.__bases__[0]
"""A command line that can't be understood."""

_COMPLETING = "_ARCTERM_COMPLETE"


class _Context(typer.Context):
    """Typer's context, with help in the encoding of stdout."""

    def get_help(self) -> str:
        return shown(super().get_help(), sys.stdout)


class _Grouped(TyperGroup):
    """The list of all commands under the headings of `GROUPS`."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        width = max(map(len, self.commands))
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), words) for name, (_, words) in commands.items()])


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application for a command line: with the command that it names, or else a list of all commands."""
    app = typer.Typer(
        name="arcterm",
        cls=_Grouped,
        help="Train face-recognition models from a terminal.",
        no_args_is_help=True,
        rich_markup_mode=None,  # plain help: rich would cost every command its import
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_options)
    asked = next((word for word in _words(arguments) if not word.startswith("-")), "")
    if asked not in COMMANDS:
        for name, (_, words) in COMMANDS.items():
            app.command(name, help=words)(_listed)
        return app
    found = getattr(import_module(COMMANDS[asked][0]), asked.replace("-", "_"))
    if isinstance(found, typer.Typer):
        app.add_typer(found, name=asked)
    else:
        app.command(asked, cls=getattr(found, "command_class", None))(found)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit code; raises what the command raises, `USAGE` and `STOPPED`."""
    command = typer.main.get_command(build(arguments))
    _set_context(command)
    if _COMPLETING in os.environ:
        command.main([], prog_name="arcterm")  # answers the shell and exits
    try:
        with command.make_context("arcterm", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as left:
        return left.exit_code
    return 0


def _words(arguments: Sequence[str]) -> list[str]:
    """The words of the command line, also where a shell asks how to complete it."""
    if _COMPLETING not in os.environ:
        return list(arguments)
    line = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS", "")
    words = line.split()[1:]
    return words if len(words) > 1 or line[-1:].isspace() or os.environ.get("COMP_CWORD", "1") > "1" else []


def _set_context(command: Any) -> None:
    command.context_class = _Context
    for below in getattr(command, "commands", {}).values():
        _set_context(below)


def _listed() -> None:
    """Stand for a command in the list."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"arcterm {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of arcterm itself."""
