"""``arcterm data show``: people and pairs as pictures in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from arcterm.cli.options import Json
from arcterm.show.output import ProgressLine, put_json, say


def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A pack, a folder of people, a .lst, a .bin, or a data set's name.",
            show_default=False,
        ),
    ],
    people: Annotated[
        str, typer.Option("--people", help="Class numbers, e.g. 0,5,10-19. [the first 6]", show_default=False)
    ] = "",
    images: Annotated[
        int, typer.Option("--images", min=1, max=1000, help="Images of each person, or pairs of each set.")
    ] = 6,
    pairs: Annotated[bool, typer.Option("--pairs", help="Show the verification sets instead.")] = False,
    width: Annotated[
        int | None,
        typer.Option(
            "--width", min=20, max=1000, help="Columns to draw in. [the terminal's]", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show people and pairs of a data set as pictures in the terminal."""
    from arcterm.show.album import open_album

    pairs = pairs or source.endswith(".bin")
    if pairs and people:
        raise typer.BadParameter("pairs have no class numbers", param_hint="--people")
    album = open_album(source, ProgressLine("reading"))
    if as_json:
        put_json(album.facts_of_sets(images) if pairs else album.facts_of_people(people, images))
        return
    from arcterm.show.drawing import OutputConsole
    from arcterm.show.faces import draw_person, draw_set, mode_of, print_drawn

    console = OutputConsole(highlight=False, width=width)
    columns, mode = width or console.width, mode_of(console)
    drawn = (
        (draw_set(held, columns, mode) for held in album.sets(images))
        if pairs
        else (draw_person(person, columns, mode) for person in album.people(people, images))
    )
    for each in drawn:
        print_drawn(console, each, columns)
    if album.unreadable:
        count = f"{album.unreadable:,} record{'s' * (album.unreadable != 1)}"
        say(f"{count} can't be read, so no person has them here; `arcterm data check {source}` names them")
