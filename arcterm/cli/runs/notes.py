"""``arcterm tag`` and ``arcterm note``: what a person says of a run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from arcterm.cli.options import Json, RunName, RunsDir
from arcterm.cli.runs.listing import find_run
from arcterm.show.output import put, put_json

Tags = Annotated[
    list[str] | None, typer.Argument(metavar="[TAG]...", help="Tags to give it.", show_default=False)
]
Off = Annotated[
    list[str] | None,
    typer.Option("--off", metavar="TAG", help="A tag to take off; can be repeated.", show_default=False),
]
Text = Annotated[
    str | None,
    typer.Argument(
        metavar="[TEXT]", help="The note; - reads it from stdin, '' removes it.", show_default=False
    ),
]


def tag(
    run: RunName, tags: Tags = None, off: Off = None, as_json: Json = False, runs_dir: RunsDir = None
) -> None:
    """Give a run tags, take some off, or list those that it has."""
    from arcterm.runs import notes

    found = find_run(run, runs_dir)
    now = notes.read(found)
    if tags or off:
        now = now.with_tags(tags or (), off or ())
        notes.write(found, now)
    if as_json:
        put_json({"id": found.id, "tags": list(now.tags)})
    else:
        put(*now.tags)


def note(run: RunName, text: Text = None, as_json: Json = False, runs_dir: RunsDir = None) -> None:
    """Write a note on a run, or print the one that it has."""
    from arcterm.runs import notes

    found = find_run(run, runs_dir)
    now = notes.read(found)
    if text is not None:
        now = now.with_text(sys.stdin.read() if text == "-" else text)
        notes.write(found, now)
    if as_json:
        put_json({"id": found.id, "note": now.text})
    elif now.text:
        put(*now.text.splitlines())
