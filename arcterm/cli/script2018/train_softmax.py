"""``arcterm train-softmax``: InsightFace's ``train_softmax.py`` of 2018 by its own options.

It says which `arcterm train` it is, and starts that.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from arcterm.cli import completing
from arcterm.cli.options import parameter, set_parameters, shared_parameters
from arcterm.cli.train import start_training
from arcterm.commandline import flag
from arcterm.errors import ArctermError, ConfigError
from arcterm.launch.script2018.options import OPTIONS
from arcterm.overrides import parse_assignments
from arcterm.show.output import say

if TYPE_CHECKING:
    from arcterm.cli.runs.watch import View
    from arcterm.launch.plan import Plan

_OWN = ("name", "log", "assignments", "detach", "dry_run", "plain", "as_json", "runs_dir")
"""Options that 2018 didn't have."""

_RENAMED = {
    "--batch-size": "--per-batch-size",
    "--dataset": "--data-dir",
    "--margin": "--margin-m",
    "--epochs": "--end-epoch",
    "--steps": "--max-steps",
    "--set loss.bag": "--triplet-bag-size",
    "--set loss.images_per_identity": "--images-per-identity",
    "--set loss.margin": "--margin-m",
    "--set backbone.embedding_size": "--emb-size",
    "--set backbone.output": "--version-output",
    "--verify-every": "--verbose",
    "--set mxnet_prefix": "--prefix",
}
"""Flags in the words of errors, and what they are called here."""


class Abbreviated(TyperCommand):
    """A command whose options may be cut short where one alone begins so, as argparse allowed."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse after writing out the names of options."""
        known = [name for option in self.params for name in option.opts]
        return super().parse_args(ctx, [_written_out(word, known) for word in args])


def _written_out(word: str, known: list[str]) -> str:
    name, equals, value = word.partition("=")
    meant = [each for each in known if each.startswith(name)]
    return (
        meant[0] + equals + value if name.startswith("--") and name not in known and len(meant) == 1 else word
    )


def train_softmax(**given: Any) -> None:
    from arcterm.launch.script2018.settings import translate

    own = {name: given.pop(name) for name in _OWN}
    if own["log"] not in (None, "2018"):
        raise ConfigError(f"--log {own['log']} is unknown", "--log 2018 prints lines as the script did")
    more = parse_assignments(own["assignments"])
    try:
        settings, notes = translate(given, more)
        for note in notes:
            say(note)
        how = {key: own[key] for key in ("detach", "dry_run", "plain", "as_json", "runs_dir")}
        named = {"name": own["name"]} if own["name"] else {}
        shown = partial(_lines_of_2018, given) if own["log"] and not own["as_json"] else None
        start_training(settings | named, worded=_renamed, shown=shown, **how)
    except ArctermError as error:
        error.message, error.hint = _renamed(error.message), _renamed(error.hint)
        raise


def _lines_of_2018(given: Mapping[str, Any], plan: Plan) -> View:
    from arcterm.cli.script2018.log2018 import Lines2018, View2018, opening
    from arcterm.launch.script2018.options import DEFAULTS

    options = DEFAULTS | {name: value for name, value in given.items() if value is not None}
    lines = Lines2018(plan.config, with_loss=options["ce_loss"])
    return View2018(lines, opening(options, plan.config, plan.facts))


def _renamed(text: str) -> str:
    """`text` with the flags of `arcterm train` by their names of 2018, but for whole commands to type."""
    parts = text.split("`")
    for ours, theirs in _RENAMED.items():
        pattern = rf"(?<![\w-]){re.escape(ours)}(?![\w-])"
        parts[::2] = [re.sub(pattern, theirs, part) for part in parts[::2]]
    return "`".join(parts)


def _parameters() -> list[inspect.Parameter]:
    def option(name: str, kind: Any, words: str, default: Any = None, **more: Any) -> inspect.Parameter:
        about = typer.Option(more.pop("flag", flag(name)), help=words, show_default=False, **more)
        return parameter(name, Annotated[kind, about], default)

    def words(help: str, default: Any) -> str:
        return help if default in ("", False) or help.startswith("Refused") else f"{help} [{default}]"

    every = "key=value for any setting of `arcterm train`, over what is said here."
    return [
        *(option(o.name, o.type | None, words(o.help, o.default)) for o in OPTIONS),
        option("name", str | None, "A name for the run."),
        option("log", str | None, "2018: lines as the script printed them."),
        option("assignments", list[str], every, [], flag="--set", autocompletion=completing.settings),
        option("detach", bool, "Start it and return; prints the run's id.", False),
        option("dry_run", bool, "Check everything, start nothing.", False),
        *shared_parameters(),
    ]


set_parameters(
    train_softmax,
    _parameters(),
    "Train by the options of InsightFace's train_softmax.py of February 2018 (docs/2018.md).",
)
train_softmax.command_class = Abbreviated  # type: ignore[attr-defined]
