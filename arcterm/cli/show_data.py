"""``arcterm data show``, ``list`` and ``findings``: data sets as pictures and facts in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arcterm.cli.options import Json, RunsDir
from arcterm.show.output import ProgressLine, put, put_json, say

if TYPE_CHECKING:
    from arcterm.inputs.datafacts import DataFacts
    from arcterm.show.lines import Line

_LINES = 1000
_SHOWN_FINDINGS = 20


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
    facts: Annotated[
        bool, typer.Option("--facts", help="Show counts and images per person instead of pictures.")
    ] = False,
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

    if facts:
        _show_facts(source, width, as_json)
        return
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


def list_known(as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """List the data sets that are known here: trained on, made, checked, or installed."""
    import msgspec

    from arcterm.inputs.known import known_sources
    from arcterm.runs import store
    from arcterm.show.dataset import sources

    known = known_sources(store.runs_dir(runs_dir))
    if as_json:
        put_json(
            [
                {
                    "source": each.source,
                    "known_by": each.words,
                    "there": each.there,
                    "facts": msgspec.to_builtins(each.facts),
                }
                for each in known
            ]
        )
    else:
        _put_lines(sources(known, -1, _columns(None), _LINES, 0))


def findings(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A data set that was checked.")],
    kind: Annotated[str, typer.Option("--kind", help="Only this kind, as --json names it.")] = "",
    width: Annotated[
        int | None, typer.Option("--width", min=20, max=1000, help="Columns to draw in.")
    ] = None,
    as_json: Json = False,
    runs_dir: RunsDir = None,
) -> None:
    """Show what the last `data check` of SRC found, with the faces."""
    import msgspec

    from arcterm.inputs.datafacts import face_files

    checked = _last_check(source, runs_dir)
    assert checked.findings is not None
    if kind and kind not in checked.findings:
        raise typer.BadParameter(f"found: {', '.join(checked.findings) or 'nothing'}", param_hint="--kind")
    wanted = {name: found for name, found in checked.findings.items() if kind in ("", name)}
    if as_json:
        put_json({"source": checked.source, "run": checked.run, "findings": msgspec.to_builtins(wanted)})
        return
    from arcterm.show.dataset import finding_detail, named_findings
    from arcterm.show.drawing import OutputConsole
    from arcterm.show.faces import draw_files, mode_of, print_drawn

    console = OutputConsole(highlight=False, width=width)
    columns, mode = _columns(width), mode_of(console)
    named = named_findings(msgspec.structs.replace(checked, findings=wanted))
    for _, found, finding in named[:_SHOWN_FINDINGS]:
        _put_lines(finding_detail(found, finding, columns))
        print_drawn(console, draw_files(face_files(checked, finding), columns, mode), columns)
    if len(named) > _SHOWN_FINDINGS:
        say(f"{len(named) - _SHOWN_FINDINGS:,} more have a name; --kind shows one kind, --json all")
    if not named:
        put("nothing was found")


def _last_check(source: str, runs_dir: Path | None) -> DataFacts:
    """The facts of the last check of `source`; raises `RunError` if there is none."""
    from arcterm.errors import RunError
    from arcterm.inputs.datafacts import check_command
    from arcterm.inputs.known import known_sources
    from arcterm.runs import store

    root = store.runs_dir(runs_dir)
    place = str(Path(source).expanduser().absolute())
    resolved = str(Path(source).expanduser().resolve())
    for each in known_sources(root):
        facts = each.facts
        if each.source in (source, place, resolved) and facts is not None and facts.findings is not None:
            return facts
    raise RunError(
        f"no check of {source} is among the runs in {root}", f"`{check_command(source)}` makes one"
    )


def _show_facts(source: str, width: int | None, as_json: bool) -> None:
    import msgspec

    from arcterm.show.album import open_album
    from arcterm.show.dataset import histogram, overview, sets

    facts = open_album(source, ProgressLine("reading")).facts()
    if as_json:
        put_json(msgspec.to_builtins(facts))
        return
    columns = _columns(width)
    parts = [overview(facts, columns)]
    if facts.census is not None:
        parts.append(histogram(facts, columns, _LINES))
    for lines in [*parts, sets(facts, columns, _LINES)]:
        _put_lines(lines)


def _columns(width: int | None) -> int:
    import shutil

    return width or shutil.get_terminal_size().columns


def _put_lines(lines: list[Line]) -> None:
    put(*("".join(text for text, _ in line).rstrip() for line in lines))
