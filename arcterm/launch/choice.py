"""The backbone and the loss that a person chose, and what was meant where that can't be."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from arcterm_registry import Backbone, Loss, PluginError, get, names

from arcterm.errors import ConfigError


def check_order(asked: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if a loss stands where the backbone does, alone or with a backbone behind it."""
    first, second = str(asked.get("backbone") or ""), str(asked.get("loss") or "")
    loss = _meant("loss", first)
    if not first or not loss or _meant("backbone", first):
        return
    if not second:
        raise ConfigError(f"{loss} is a loss, and no backbone is chosen", f"`arcterm train r50 {loss}`")
    backbone = _meant("backbone", second)
    if backbone and not _meant("loss", second):
        raise ConfigError(
            f"{loss} is a loss and {backbone} a backbone; the backbone comes first",
            f"`arcterm train {backbone} {loss}`",
        )


def chosen(kind: str, given: Mapping[str, Any]) -> Any:
    """The declaration of the backbone or loss of `given`; `ConfigError` or `PluginError` without one."""
    name = given.get(kind)
    if not name:
        example = f"`arcterm train r50 {given.get('loss') or 'arcface'}`"
        if kind == "loss":
            example = f"`arcterm train {given['backbone']} arcface`"
        raise ConfigError(f"no {kind} is chosen", f"{example}; installed: {', '.join(names(kind))}")
    declared = get(kind, str(name))
    if not isinstance(declared, Backbone | Loss):
        raise PluginError(f"{name!r} is no {kind}")
    return declared


def _meant(kind: str, text: str) -> str:
    """The plug-in of a kind that `text` names or nearly names; empty if it is nearer to another kind's."""
    known = names(kind)
    if text in known or not text:
        return text
    others = names("loss" if kind == "backbone" else "backbone")
    close = difflib.get_close_matches(text, [*known, *others], n=1, cutoff=0.6)
    return close[0] if close and close[0] in known and text not in others else ""
