"""``arcterm plugins``: what can be picked."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from arcterm_registry import KINDS, Backbone, Plugin, PluginError, nearest, scan

from arcterm.cli.options import Json, put, put_json, say, table


def plugins(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND]", help=f"One of {', '.join(KINDS)}.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List what can be picked, with what is broken."""
    chosen = (kind or "").removesuffix("s") or None
    chosen = "loss" if chosen == "losse" or kind == "loss" else chosen
    if chosen is not None and chosen not in KINDS:
        raise PluginError(
            f"there is no kind {kind!r}", nearest(str(kind), KINDS).replace("installed", "kinds")
        )
    found = [plugin for one in ([chosen] if chosen else KINDS) for plugin in scan(one)]
    if as_json:
        put_json([_describe(plugin) for plugin in found])
        return
    rows = [
        [p.kind, p.full_name if p.duplicate else p.name, f"{p.distribution} {p.version}", _words(p)]
        for p in found
    ]
    put(table(["KIND", "NAME", "FROM", "WHAT"], rows))
    broken = [plugin for plugin in found if plugin.error]
    for plugin in broken:
        say(f"{plugin.kind} {plugin.name} of {plugin.distribution} ({plugin.path}) is broken: {plugin.error}")
    if not found:
        say(f"no {chosen} is installed")


def _words(plugin: Plugin) -> str:
    if plugin.error:
        return "BROKEN: " + " ".join(plugin.error.split())[:100]
    return plugin.declaration.summary if plugin.declaration else ""


def _describe(plugin: Plugin) -> dict[str, Any]:
    declared = plugin.declaration
    facts: dict[str, Any] = {
        "kind": plugin.kind,
        "name": plugin.name,
        "full_name": plugin.full_name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "target": plugin.target,
        "duplicate": plugin.duplicate,
        "error": plugin.error or None,
    }
    if declared is not None:
        facts |= {
            "summary": declared.summary,
            "factory": declared.factory,
            "options": [
                {
                    "name": option.name,
                    "type": option.type.__name__,
                    "default": option.default,
                    "range": option.range,
                    "help": option.help,
                }
                for option in declared.options
            ],
        }
    if isinstance(declared, Backbone):
        facts |= {
            "parameters": declared.parameters,
            "gmacs": declared.gmacs,
            "embedding_size": declared.embedding_size,
            "input_size": list(declared.input_size),
        }
    return facts
