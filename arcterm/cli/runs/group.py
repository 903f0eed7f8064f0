"""``arcterm runs`` lists the runs; ``arcterm runs import`` makes some of other programs' logs."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from arcterm.cli.runs.imports import import_logs
from arcterm.cli.runs.listing import runs as list_runs


class _Runs(TyperGroup):
    """``arcterm runs`` alone, or with options, is ``arcterm runs list``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put ``list`` in front unless a command comes first."""
        return super().parse_args(ctx, args if args[:1] and args[0] in self.commands else ["list", *args])


runs = typer.Typer(cls=_Runs, rich_markup_mode=None)
runs.command("list", help="List the runs, newest first; `arcterm runs import LOG…` makes some of logs.")(
    list_runs
)
runs.command("import")(import_logs)


@runs.callback()
def options() -> None:
    """List the runs, or make some of other programs' logs."""
