"""From a text to a recipe: an installed one, one of the user's own, or a file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from arcterm_registry import PluginError, Recipe, get, names, nearest, scan

from arcterm import tomlfile
from arcterm.errors import ConfigError
from arcterm.overrides import check_settings, check_tables

OWN = "yours"
_SUFFIX = ".toml"
_EXAMPLE = "docs/recipes.md has an example"


class Listed(NamedTuple):
    """A recipe as it is listed: its name, the package that it comes from, what it is or why it is broken."""

    name: str
    package: str
    recipe: Recipe | None
    error: str = ""


def directory() -> Path:
    """`ARCTERM_RECIPES`, or ``arcterm/recipes`` in `XDG_CONFIG_HOME` or ``~/.config``; it need not exist."""
    if chosen := os.environ.get("ARCTERM_RECIPES"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "arcterm" / "recipes"


def find(text: str) -> Recipe:
    """The recipe that is called `text`, or in the file of that path; its settings are checked.

    Raises `ConfigError` or `PluginError`. An installed one goes before one of the user's own.
    """
    if text.endswith(_SUFFIX) or os.sep in text:
        return read(Path(text).expanduser())
    own = path_of(text)
    if text not in names("recipe") and own.is_file():
        return read(own)
    try:
        recipe = get("recipe", text)
    except PluginError:
        if text in known() or ":" in text:
            raise
        hint = f"{nearest(text, known())}; `arcterm recipes` lists them, and a path ends in {_SUFFIX}"
        raise ConfigError(f"there is no recipe {text!r}", hint) from None
    return _checked(recipe, f"recipe {text}")


def read(path: Path) -> Recipe:
    """Read the recipe of a file; raises `ConfigError` naming what is wrong in it."""
    tables = tomlfile.read(path, _EXAMPLE)
    if not isinstance(tables.get("recipe", {}), dict):
        raise ConfigError(f"{path}: recipe is a table", "write [recipe] and its keys below")
    try:
        return _checked(Recipe.of(tables), str(path))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}", _EXAMPLE) from None


def everything() -> list[Listed]:
    """Every recipe that has a name, broken ones with the reason; sorted by name, the user's own last."""
    found = []
    for plugin in scan("recipe"):
        recipe = plugin.declaration if isinstance(plugin.declaration, Recipe) else None
        found.append(
            _listed(plugin.unique_name, f"{plugin.distribution} {plugin.version}", recipe, plugin.error)
        )
    for name in _own_names():
        try:
            found.append(Listed(name, OWN, read(path_of(name))))
        except ConfigError as error:
            found.append(Listed(name, OWN, None, error.message))
    return found


def known() -> list[str]:
    """The names of all recipes."""
    return [*names("recipe"), *_own_names()]


def path_of(name: str) -> Path:
    """The file of the user's own recipe `name`; it need not exist."""
    return directory() / f"{name}{_SUFFIX}"


def _listed(name: str, package: str, recipe: Recipe | None, error: str) -> Listed:
    try:
        return Listed(name, package, _checked(recipe, name) if recipe else None, error)
    except ConfigError as wrong:
        return Listed(name, package, None, wrong.message)


def _own_names() -> list[str]:
    try:
        return sorted(path.stem for path in directory().glob(f"*{_SUFFIX}"))
    except OSError:
        return []


def _checked(recipe: Recipe, source: str) -> Recipe:
    """The recipe with its settings checked and in their types; raises `ConfigError`."""
    check_tables(recipe.values, source)
    settings: dict[str, Any] = check_settings(recipe.values, source)
    if "recipe" in settings or "name" in settings:
        raise ConfigError(f"{source}: a recipe has no recipe and no name of a run", "leave both out")
    return replace(recipe, values=settings)
