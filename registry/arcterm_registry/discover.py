"""Discovery: which plug-ins are installed, and the declaration behind a name.

`names` reads package metadata only. `get` imports one declaration. `scan` imports each declaration of a
kind on its own, so that one that raises or hangs is listed with its error instead of stopping the rest.
Declarations of others are imported by a child process, see `probe`; ours in place.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import importlib
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, overload

from arcterm_registry.declare import (
    Backbone,
    Dataset,
    Declaration,
    Detector,
    JobSpec,
    Launcher,
    Loss,
    Recipe,
    Tracker,
)
from arcterm_registry.probe import Answer, Probe

KINDS: dict[str, type[Declaration]] = {
    declared.kind: declared
    for declared in (Backbone, Loss, Dataset, JobSpec, Launcher, Tracker, Detector, Recipe)
}
CHECKED = ("backbone", "loss", "dataset", "job", "detector", "tracker", "launcher")
"""The kinds that `conformance` has checks for."""
_GROUPS = {
    "backbone": "arcterm.backbones",
    "loss": "arcterm.losses",
    "dataset": "arcterm.datasets",
    "job": "arcterm.jobs",
    "launcher": "arcterm.launchers",
    "tracker": "arcterm.trackers",
    "detector": "arcterm.detectors",
    "recipe": "arcterm.recipes",
}


_OURS = "arcterm"


class PluginError(Exception):
    """A plug-in that can't be had; `message` says why in one line, `hint` what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """One entry point as found: `target` is ``pkg.mod:attribute``, `path` its metadata directory.

    After `scan`, `declaration` holds what it gave or `error` why it gave nothing. `duplicate` tells that
    another distribution has the name too, so that only ``distribution:name`` picks one.
    """

    kind: str
    name: str
    target: str
    distribution: str
    version: str
    path: Path
    duplicate: bool = False
    declaration: Declaration | None = None
    error: str = ""

    @property
    def full_name(self) -> str:
        """``distribution:name``, which is never ambiguous."""
        return f"{self.distribution}:{self.name}"

    @property
    def unique_name(self) -> str:
        """The shortest name that picks it."""
        return self.full_name if self.duplicate else self.name


def names(kind: str) -> list[str]:
    """The names of one kind, sorted; a name that two distributions claim appears as ``dist:name``."""
    return sorted(p.unique_name for p in find(kind))


@overload
def get(kind: Literal["backbone"], name: str) -> Backbone: ...
@overload
def get(kind: Literal["loss"], name: str) -> Loss: ...
@overload
def get(kind: Literal["dataset"], name: str) -> Dataset: ...
@overload
def get(kind: Literal["job"], name: str) -> JobSpec: ...
@overload
def get(kind: Literal["launcher"], name: str) -> Launcher: ...
@overload
def get(kind: Literal["recipe"], name: str) -> Recipe: ...
@overload
def get(kind: Literal["tracker"], name: str) -> Tracker: ...
@overload
def get(kind: str, name: str) -> Declaration: ...
def get(kind: str, name: str) -> Declaration:
    """The declaration called `name` or ``dist:name``; `PluginError` if unknown, ambiguous or broken."""
    plugin = locate(kind, name)
    [declaration] = _load([plugin])
    if isinstance(declaration, Declaration):
        return declaration
    raise PluginError(
        f"{kind} {name!r} of {plugin.distribution} {plugin.version} is broken: {declaration}",
        f"repair or uninstall {plugin.distribution}; `arcterm plugins {kind}` lists what works",
    )


def locate(kind: str, name: str) -> Plugin:
    """The entry point called `name` (or ``dist:name``), not imported; raises `PluginError`."""
    plugins = find(kind)
    found = [p for p in plugins if name in (p.name, p.full_name)]
    if not found:
        others = [other for other in _GROUPS if any(name in (p.name, p.full_name) for p in find(other))]
        elsewhere = f"{name} is a {others[0]}; " if others else ""
        raise PluginError(f"there is no {kind} {name!r}", elsewhere + nearest(name, names(kind)))
    if len(found) > 1:
        owners = " and ".join(f"{p.distribution} {p.version}" for p in found)
        choices = " or ".join(p.full_name for p in found)
        raise PluginError(f"{kind} {name!r} is claimed by {owners}", f"choose one: {choices}")
    return found[0]


def scan(kind: str) -> list[Plugin]:
    """Every plug-in of one kind with its declaration or its error, sorted by name."""
    scanned = []
    plugins = find(kind)
    for plugin, got in zip(plugins, _load(plugins), strict=True):
        fields = {"declaration": got} if isinstance(got, Declaration) else {"error": got}
        scanned.append(Plugin(**{**plugin.__dict__, **fields}))
    return scanned


def find(kind: str) -> list[Plugin]:
    """Every entry point of one kind, nothing imported, sorted by name."""
    if kind not in _GROUPS:
        raise PluginError(f"there is no kind {kind!r}", nearest(kind, _GROUPS))
    found = [plugin for plugin in _installed(tuple(sys.path)) if plugin.kind == kind]
    claims = Counter(plugin.name for plugin in found)
    marked = (Plugin(**{**p.__dict__, "duplicate": claims[p.name] > 1}) for p in found)
    return sorted(marked, key=lambda p: (p.name, p.distribution))


def refresh() -> None:
    """Look anew for what is installed, when next asked: packages may have come, gone or been repaired."""
    for entry in _fresh_path():
        if entry not in sys.path:  # a package that was installed in place
            sys.path.append(entry)
    importlib.invalidate_caches()
    _installed.cache_clear()
    for plugin in [plugin for plugin in _loaded if plugin.distribution != _OURS]:
        del _loaded[plugin]


def nearest(name: str, known: Iterable[str]) -> str:
    """What there is instead of `name`, the closest first: ``did you mean r50? installed: …``."""
    installed = sorted(known)
    close = difflib.get_close_matches(name, installed, n=3, cutoff=0.4)
    lead = f"did you mean {' or '.join(close)}? " if close else ""
    return f"{lead}installed: {', '.join(installed) or 'none'}"


def load_target(target: str) -> object:
    """Import ``pkg.mod:attribute``; raises whatever that raises."""
    import entrypoints  # with what it needs a twentieth of a console's imports, which seldom asks for any

    found: object = entrypoints.EntryPoint.from_string(target, "").load()
    return found


_loaded: dict[Plugin, Declaration | str] = {}
"""Loaded once: a factory's module that is named like the declaration would later hide it in its package."""


def _load(plugins: Sequence[Plugin]) -> list[Declaration | str]:
    """Each one's declaration, or in words why there is none. A plug-in may raise, exit or hang.

    Those of others are imported side by side, so that several that hang cost the time limit once.
    """
    probes: dict[Plugin, Probe] = {}
    try:
        for plugin in plugins:
            if plugin not in _loaded and plugin.distribution != _OURS:
                probes[plugin] = Probe(plugin.target, KINDS[plugin.kind])
        for plugin in plugins:
            if plugin not in _loaded:
                answer = probes[plugin].answer() if plugin in probes else Answer()
                _loaded[plugin] = answer.declaration or answer.error or _in_place(plugin)
    finally:
        for probe in probes.values():
            probe.end()
    return [_loaded[plugin] for plugin in plugins]


def _in_place(plugin: Plugin) -> Declaration | str:
    """The declaration, imported here: ours, and one that only its own code can make."""
    wanted = KINDS[plugin.kind]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = load_target(plugin.target)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a stranger's import raises
        return f"{type(error).__name__}: {error}"
    if not isinstance(found, wanted):
        return f"{plugin.target} is {type(found).__name__}, not a {wanted.__name__} declaration"
    return found


@functools.lru_cache(maxsize=8)
def _installed(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    import entrypoints

    kinds = {group: kind for kind, group in _GROUPS.items()}
    plugins: list[Plugin] = []
    seen: set[str] = set()
    for file in _metadata_files(path):
        distribution = entrypoints.Distribution.from_name_version(file.parent.stem)
        canonical = re.sub(r"[-_.]+", "-", distribution.name).lower()
        if canonical in seen:  # found earlier on sys.path: the import system would take that one too
            continue
        seen.add(canonical)
        for group, name, target in _entries(file):
            if group in kinds:
                plugins.append(
                    Plugin(
                        kind=kinds[group],
                        name=name,
                        target=target,
                        distribution=canonical,
                        version=distribution.version or "?",
                        path=file.parent,
                    )
                )
    return tuple(plugins)


def _fresh_path() -> list[str]:
    """``sys.path`` of a Python that starts now, which reads new ``.pth`` files too; empty if none can start.

    `PYTHONPATH` is left out: what it says has been here from the start, without the current directory.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONSAFEPATH": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import json, sys; print(json.dumps(sys.path))"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=True,
        )
        found: list[str] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return []
    return found


def _metadata_files(path: Iterable[str]) -> Iterator[Path]:
    for folder in path:
        base = Path(folder or ".")
        for pattern in ("*.dist-info/entry_points.txt", "*.egg-info/entry_points.txt"):
            with contextlib.suppress(OSError):  # a folder on sys.path need not be readable
                yield from sorted(base.glob(pattern))


def _entries(file: Path) -> Iterator[tuple[str, str, str]]:
    """(group, name, target) of a metadata file; nothing of a file that is not ours or can't be parsed."""
    import configparser

    import entrypoints

    try:
        text = file.read_text(encoding="utf-8")
        if "[arcterm." not in text:
            return
        parser = entrypoints.CaseSensitiveConfigParser(delimiters=("=",), interpolation=None)
        parser.read_string(text)
    except (OSError, UnicodeDecodeError, configparser.Error):
        return
    for group in parser.sections():
        for name, target in parser[group].items():
            yield group, name, target
