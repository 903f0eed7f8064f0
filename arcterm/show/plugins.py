"""Plug-ins in words: whether one works, and what to do about one that does not; for commands and console."""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

from arcterm_registry import Detector, Option, Plugin, Tracker

_MODULE = re.compile(r"No module named '([\w.]+)'")
_KINDS = {bool: "yes, no", int: "a whole number", float: "a number", str: "text"}


class Health(NamedTuple):
    """One word on a plug-in: ``ok``, ``broken``, ``hangs``, ``shadowed``, ``lacking``; why; what to do.

    A remedy is a command where one helps, else a sentence.
    """

    state: str
    reason: str = ""
    remedies: tuple[str, ...] = ()


def health(plugin: Plugin) -> Health:
    """Whether a scanned plug-in can be used, without importing anything of it."""
    declared = plugin.declaration
    if plugin.error:
        return _of_error(plugin)
    if plugin.duplicate:
        reason = f"another package has a {plugin.kind} {plugin.name} too, so the name alone means neither"
        remove = () if plugin.distribution == "arcterm" else (_uninstall(plugin),)
        return Health("shadowed", reason, (f"write {plugin.full_name}", *remove))
    if isinstance(declared, Tracker) and (absent := declared.missing()):
        install = declared.install or f"pip install {shlex.join(absent)}"
        return Health("lacking", f"needs {', '.join(absent)}, which is not installed", (install,))
    if (
        isinstance(declared, Detector)
        and plugin.distribution == "arcterm"
        and declared.find_weights() is None
    ):
        return Health("lacking", "no weights are here", (declared.advice,) if declared.advice else ())
    return Health("ok")


def defaults(option: Option) -> str:
    """The default of an option; a dash where it is worked out."""
    if isinstance(option.default, float):
        return f"{option.default:g}"
    return "-" if option.default is None else str(option.default).lower()


def allowed(option: Option) -> str:
    """The values that an option takes."""
    return option.range or _KINDS[option.type]


def check_command(plugin: Plugin) -> str:
    """The command that tries a plug-in out."""
    return shlex.join(["arcterm", "plugins", "check", plugin.full_name, "--kind", plugin.kind])


def _of_error(plugin: Plugin) -> Health:
    reason = " ".join(plugin.error.split())
    if reason.startswith("hangs"):
        return Health("hangs", reason, (_upgrade(plugin), _uninstall(plugin)))
    if module := _MODULE.search(reason):
        top = module[1].partition(".")[0].replace("_", "-")
        return Health("broken", reason, (f"pip install {top}", _upgrade(plugin), _uninstall(plugin)))
    return Health("broken", reason, (_upgrade(plugin), _uninstall(plugin)))


def _upgrade(plugin: Plugin) -> str:
    return f"pip install --upgrade {shlex.quote(plugin.distribution)}"


def _uninstall(plugin: Plugin) -> str:
    return f"pip uninstall {shlex.quote(plugin.distribution)}"
