"""Completions for shells. Nothing here raises: a shell would show it amid the line."""

from __future__ import annotations

import re

import typer
from arcterm_registry import KINDS, names

from arcterm.errors import ArctermError

_PLAIN = re.compile(r"[\w.:+-]+")  # special in no shell


def backbones(incomplete: str) -> list[str]:
    return _offered("backbone", incomplete)


def losses(incomplete: str) -> list[str]:
    return _offered("loss", incomplete)


def launchers(incomplete: str) -> list[str]:
    return _offered("launcher", incomplete)


def kinds(incomplete: str) -> list[str]:
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def plugins(context: typer.Context, incomplete: str) -> list[str]:
    """Names of plug-ins, of the kind that was given if one was."""
    kind = context.params.get("kind")
    return [name for each in ([kind] if kind in KINDS else KINDS) for name in _offered(each, incomplete)]


def runs(context: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, ids of those without one, and last."""
    from arcterm.runs import store

    try:
        found, _ = store.scan(store.runs_dir(context.params.get("runs_dir")))
        known = ["last", *(run.name for run in found)]
    except (ArctermError, OSError):
        return []
    return [name for name in known if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def recipes(incomplete: str) -> list[str]:
    """Names of recipes, the user's own too."""
    from arcterm.launch.recipes import find

    return [name for name in find.known() if name.startswith(incomplete) and _PLAIN.fullmatch(name)]


def settings(incomplete: str) -> list[str]:
    """Keys for --set, with the equals sign: settings, and options of plug-ins."""
    from arcterm.neighbours import owned
    from arcterm.settings import FLAGS, SETTINGS

    known = [*(option.name for option in SETTINGS if option.name not in FLAGS), *owned()]
    return [f"{name}=" for name in known if name.startswith(incomplete)]


def _offered(kind: str, incomplete: str) -> list[str]:
    return [name for name in names(kind) if name.startswith(incomplete) and _PLAIN.fullmatch(name)]
