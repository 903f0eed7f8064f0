"""``arcterm data``: making data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from arcterm.cli.options import Counter, Json, put, put_json, say

data = typer.Typer(help="Make data sets.", no_args_is_help=True, rich_markup_mode=None)


@data.callback()
def options() -> None:
    """Make data sets."""


@data.command()
def pack(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A folder with one folder per person.")],
    target: Annotated[Path, typer.Argument(metavar="DST", help="The pack's directory; made here.")],
    hold_out: Annotated[
        int, typer.Option("--hold-out", min=0, help="Keep the last N people for a verification set.")
    ] = 0,
    resize: Annotated[
        bool, typer.Option("--resize", help="Stretch images of another size to 112×112.")
    ] = False,
    pairs: Annotated[
        int | None, typer.Option("--pairs", min=20, help="Pairs in the verification set.", show_default="all")
    ] = None,
    as_json: Json = False,
) -> None:
    """Pack a folder of people into train.rec, train.idx, property and heldout.bin."""
    import dataclasses

    from arcterm.formats.packing import pack_people

    report = pack_people(
        source, target, hold_out=hold_out, resize=resize, pairs=pairs, progress=Counter("packing")
    )
    if as_json:
        put_json(dataclasses.asdict(report) | {"path": str(target.resolve())})
        return
    for key, value in dataclasses.asdict(report).items():
        say(f"  {key.replace('_', ' '):<20}{value}")
    put(str(target))
