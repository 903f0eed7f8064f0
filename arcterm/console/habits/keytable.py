"""Every key of every screen in one table, by the names that ``console.toml`` knows."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module

from textual.binding import Binding, BindingType

from arcterm import console
from arcterm.console.keys import name_of
from arcterm.console.screens.base import ConsoleScreen

HEADER = ["SCREEN", "NAME", "KEYS", "WHAT IT DOES"]


def rows(everywhere: list[BindingType]) -> list[list[str]]:
    """A row for each key with a name: of all screens (`everywhere`), then of each screen in turn."""
    for module in pkgutil.walk_packages(console.__path__, f"{console.__name__}."):
        import_module(module.name)
    return [
        *_rows("everywhere", everywhere),
        *(row for screen in _screens(ConsoleScreen) for row in _rows(_words(screen), screen.BINDINGS)),
    ]


def _rows(screen: str, bindings: list[BindingType]) -> Iterator[list[str]]:
    for each in bindings:
        if isinstance(each, Binding) and each.id:
            keys = ", ".join(name_of(Binding(key, "", "")) for key in each.key.split(","))
            yield [screen, each.id, keys, each.tooltip or each.description]


def _screens(base: type[ConsoleScreen]) -> Iterator[type[ConsoleScreen]]:
    """All screens, each once, in the order of their names."""
    found = {base}
    waiting = [base]
    while waiting:
        for screen in waiting.pop().__subclasses__():
            if screen not in found:
                found.add(screen)
                waiting.append(screen)
    yield from sorted(found, key=_words)


def _words(screen: type[ConsoleScreen]) -> str:
    """``JobScreen`` → job, ``RunList`` → run list."""
    if screen is ConsoleScreen:
        return "all screens"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", screen.__name__.removesuffix("Screen")).lower()
