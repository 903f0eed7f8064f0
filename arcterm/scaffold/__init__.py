"""A package for a new plug-in, written from the templates beside this file.

A template's ``$name`` is the plug-in's name, ``$module`` its Python package, ``$kind`` what it is.
"""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path
from string import Template

from arcterm_registry import find, nearest

from arcterm.errors import ConfigError
from arcterm.files import staged_directory

GROUPS = {
    "backbone": "backbones",
    "loss": "losses",
    "dataset": "datasets",
    "job": "jobs",
    "detector": "detectors",
    "tracker": "trackers",
    "launcher": "launchers",
}
_HERE = Path(__file__).parent
_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")


def write(kind: str, name: str, place: Path) -> None:
    """Write the package of a `kind` called `name` to `place`, whole or not at all.

    Raises `ConfigError` for a kind or name that can't be, `DataError` if `place` holds something.
    """
    _check(kind, name)
    module = module_of(name)
    words = {"kind": kind, "name": name, "module": module, "group": GROUPS[kind]}
    with staged_directory(place) as stage:
        for root in (_HERE / "shared", _HERE / kind):
            for template in sorted(root.rglob("*.tmpl")):
                target = stage / str(template.relative_to(root).with_suffix("")).replace("module", module)
                target.parent.mkdir(parents=True, exist_ok=True)
                text = Template(template.read_text(encoding="utf-8")).substitute(words)
                target.write_text(text, encoding="utf-8")


def next_commands(kind: str, name: str, place: Path) -> list[str]:
    """What to type after `write`: install it, check it, use it."""
    use = {
        "backbone": f"arcterm train {name} arcface",
        "loss": f"arcterm train tiny {name}",
        "dataset": "arcterm train tiny arcface --dataset DIR",
        "job": f"arcterm job {name} FOLDER",
        "detector": f"arcterm align PHOTOS ALIGNED --detector {name}",
        "tracker": f"arcterm train tiny arcface --track {name}",
        "launcher": f"arcterm train tiny arcface --launcher {name} --dry-run",
    }[kind]
    check = f"arcterm plugins check {name}" + " --path DIR" * (kind == "dataset")
    return [f"pip install -e {shlex.quote(str(place))}", check, use]


def module_of(name: str) -> str:
    """The Python package of the plug-in called `name`: ``arcterm_`` and the name."""
    return "arcterm_" + name.replace("-", "_")


def _check(kind: str, name: str) -> None:
    if kind not in GROUPS:
        raise ConfigError(
            f"there is no template for a {kind!r}", nearest(kind, GROUPS).replace("installed", "there are")
        )
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} can't be the name of a plug-in", "small letters and digits, words joined by - or _"
        )
    taken = [plugin for plugin in find(kind) if plugin.name == name]
    if taken:
        raise ConfigError(
            f"there is a {kind} {name!r} already, of {taken[0].distribution}", "choose another name"
        )
    if importlib.util.find_spec(module_of(name)) is not None:
        raise ConfigError(f"there is a module {module_of(name)!r} already", "choose another name")
