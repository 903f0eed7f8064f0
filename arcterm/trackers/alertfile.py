"""The file that says which alerts go where: a TOML file of yours, outside of every run.

[[alert]]
url = "https://hooks.example.com/T0/B0/xyz"   # gets a POST of JSON

[[alert]]
on = ["failed", "nan", "stalled"]
command = ["notify-send", "{run}: {kind}", "{text}"]
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

KINDS = ("done", "stopped", "failed", "nan", "stalled", "paused", "best")
_USUAL = tuple(kind for kind in KINDS if kind not in ("stopped", "best"))
_LARGEST = 64 << 10


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One address: notices of the kinds `on` are posted to `url`, or given to `command`."""

    on: tuple[str, ...]
    url: str = ""
    command: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What it is called in a message: an address is a secret, its host is not."""
        return f"the webhook at {urlsplit(self.url).hostname}" if self.url else f"command {self.command[0]}"


def find(given: str) -> Path:
    """The file: `given`, else ``ARCTERM_ALERTS``, else ``alerts.toml`` among the user's own settings."""
    named = given or os.environ.get("ARCTERM_ALERTS", "")
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(named or f"{home}/arcterm/alerts.toml").expanduser()


def read(given: str) -> list[Alert]:
    """The alerts of the file; raises `ValueError`, with the next step, for one that can't be used."""
    path = find(given)
    try:
        with path.open("rb") as file:
            table = tomllib.loads(file.read(_LARGEST).decode())
    except FileNotFoundError:
        raise ValueError(f"there is no {path} → write it, or name it by --set track.alerts=FILE") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path} can't be read: {error} → correct it") from None
    entries = table.get("alert")
    if not isinstance(entries, list) or not entries or set(table) != {"alert"}:
        raise ValueError(f"{path} holds no list of alerts → begin each with [[alert]]")
    return [_parse(entry, f"{path}: alert {number}") for number, entry in enumerate(entries, 1)]


def check(*, alerts: str) -> None:
    """Raise `ValueError` if the file can't be used."""
    read(alerts)


def _parse(entry: Any, place: str) -> Alert:
    if not isinstance(entry, dict) or not set(entry) <= {"on", "url", "command"}:
        raise ValueError(f"{place} has more than on, url and command → leave that out")
    on = entry.get("on", list(_USUAL))
    if not isinstance(on, list) or not on or not set(map(str, on)) <= set(KINDS):
        raise ValueError(f"{place}: on is a list of {', '.join(KINDS)} → correct it")
    url, command = entry.get("url", ""), entry.get("command", [])
    if bool(url) == bool(command):
        raise ValueError(f"{place} needs a url or a command → give one of them")
    if url and not (isinstance(url, str) and _is_web(url)):
        raise ValueError(f"{place}: its url is no https:// or http:// address → correct it")
    if command and not (isinstance(command, list) and all(isinstance(word, str) for word in command)):
        raise ValueError(f'{place}: command is a list → write ["program", "argument", …], no shell runs it')
    return Alert(on=tuple(map(str, on)), url=url, command=tuple(command))


def _is_web(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("https", "http") and bool(parts.hostname)
    except ValueError:
        return False
