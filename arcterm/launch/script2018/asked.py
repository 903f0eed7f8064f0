"""The options of a command line, and what is to be said of those that do nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcterm.commandline import flag
from arcterm.errors import ConfigError
from arcterm.launch.script2018.options import DEFAULTS


class ScriptOptions:
    """Values by name: those that were given, which aren't None, over the defaults of 2018.

    `notes` collects what does nothing here, and what is different.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = {name: value for name, value in given.items() if value is not None}
        self.notes: list[str] = []

    def __getitem__(self, name: str) -> Any:
        return self._given.get(name, DEFAULTS[name])

    def gave(self, name: str) -> bool:
        """Whether it was given, if only as its default."""
        return name in self._given

    def changed(self, name: str) -> bool:
        """Whether it was given and differs from the default."""
        return self.gave(name) and self[name] != DEFAULTS[name]

    def idle(self, why: str, *names: str) -> None:
        """Note that those of the options that were changed do nothing."""
        self.notes += [f"{flag(name)} does nothing: {why}" for name in names if self.changed(name)]

    def refuse(self, name: str, why: str, hint: str) -> ConfigError:
        """Return the error of an option whose value can't be had."""
        return ConfigError(f"{flag(name)} {self[name]}: {why}", hint)
