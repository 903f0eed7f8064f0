"""The person's settings of the console: ``console.toml``."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from arcterm import tomlfile
from arcterm.console.habits.themes import THEMES
from arcterm.console.keys import key_of
from arcterm.errors import ConfigError

_HINT = "see docs/console.md for an example"


class Preferences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Theme, drawing, seconds between two looks at a live run at least, and keys by the name of an action."""

    theme: str = ""
    ascii: bool = False
    readonly: bool = False
    refresh: float = 0.0
    keys: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.theme and self.theme not in THEMES:
            raise ValueError(f"theme is one of {', '.join(THEMES)}, not {self.theme!r}")
        if not 0 <= self.refresh <= 60:
            raise ValueError("refresh is a number of seconds from 0 to 60")

    def keymap(self) -> dict[str, str]:
        """The keys as Textual writes them."""
        return {name: ",".join(map(key_of, keys.split(","))) for name, keys in self.keys.items()}


def place() -> Path:
    """The file: `ARCTERM_CONSOLE`, or ``arcterm/console.toml`` in `XDG_CONFIG_HOME` or ``~/.config``."""
    if chosen := os.environ.get("ARCTERM_CONSOLE"):
        return Path(chosen).expanduser()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser()
    return config / "arcterm" / "console.toml"


def load() -> Preferences:
    """Read the file, which need not be there; raises `ConfigError` in words."""
    path = place()
    if not path.exists():
        return Preferences()
    try:
        return msgspec.convert(tomlfile.read(path, f"repair it, or remove it; {_HINT}"), Preferences)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}", _HINT) from None
