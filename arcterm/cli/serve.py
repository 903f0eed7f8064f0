"""``arcterm serve``: the console in a browser on this machine."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from arcterm.cli import completing
from arcterm.cli.options import RunsDir
from arcterm.errors import ConfigError

_PORT = 8023


def serve(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="Open this run's dashboard.",
            show_default=False,
            autocompletion=completing.runs,
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = _PORT,
    allow_actions: Annotated[
        bool,
        typer.Option("--allow-actions", help="Let it start, stop and change runs; else it only watches."),
    ] = False,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Tabs that may be open at once.")] = 4,
    runs_dir: RunsDir = None,
) -> None:
    """Show the console in a browser, to who has the address that is printed; Ctrl-C ends it, runs go on.

    It listens on 127.0.0.1 alone. From another machine: `ssh -L 8023:127.0.0.1:8023 HOST`.
    """
    import asyncio

    try:
        from arcterm.web import server
    except ImportError:
        raise ConfigError(
            "the console in a browser needs aiohttp and textual-serve", "`pip install 'arcterm[web]'`"
        ) from None
    from arcterm.inputs import uses
    from arcterm.runs import store
    from arcterm.show.output import put, say

    root = store.runs_dir(runs_dir)
    run = store.find(root, name, uses.WATCHED).id if name else None
    made = server.Server(server.console_command(root, run, readonly=not allow_actions), most=connections)

    def ready(address: str) -> None:
        put(address)
        what = (
            "who has this address can act on runs"
            if allow_actions
            else "it only watches; --allow-actions acts"
        )
        say(f"open this address in a browser of this machine; {what}; Ctrl-C ends it")

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(server.serve(made, port, ready))
