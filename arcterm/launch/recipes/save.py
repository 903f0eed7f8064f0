"""Recipes written down: as TOML, and among the user's own."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arcterm_registry import Recipe, names

from arcterm import files
from arcterm.errors import ConfigError
from arcterm.launch.recipes import find

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.IGNORECASE)


def save(name: str, recipe: Recipe) -> Path:
    """Save a recipe as one of the user's own; raises `ConfigError` if the name can't be had."""
    if not _NAME.fullmatch(name) or name.endswith(".toml"):
        raise ConfigError(
            f"{name!r} is no name of a recipe", "letters, digits, hyphens, points, underscores; 64 at most"
        )
    if name in names("recipe"):
        raise ConfigError(f"{name} is a recipe of an installed package", "give it another name")
    path = find.path_of(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        files.create_bytes(path, toml(recipe).encode())
    except FileExistsError:
        raise ConfigError(
            f"there is a recipe {name} already", f"give it another name, or remove {path}"
        ) from None
    except UnicodeEncodeError:
        raise ConfigError("a recipe with a name that is no UTF-8 can't be saved", "rename it first") from None
    except OSError as error:
        hint = "set ARCTERM_RECIPES to a folder that can be written to"
        raise ConfigError(f"can't write {path}: {error.strerror or error}", hint) from None
    return path


def toml(recipe: Recipe) -> str:
    """The file of a recipe: settings, options of plug-ins, and what is said of it."""
    plain = {key: value for key, value in recipe.values.items() if not isinstance(value, dict)}
    tables = {key: value for key, value in recipe.values.items() if isinstance(value, dict)}
    said = {key: getattr(recipe, key) for key in ("summary", "source", "data", "global_batch", "notes")}
    tables["recipe"] = {key: value for key, value in said.items() if value}
    parts = [_lines(plain), *(f"[{name}]\n{_lines(table)}" for name, table in tables.items() if table)]
    return "\n".join(part for part in parts if part)


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {_written(value)}\n" for key, value in table.items())


def _written(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "\n".join(["[", *(f"    {_written(one)}," for one in value), "]"])
    if isinstance(value, str):
        # JSON's strings are TOML's, but for the one control character that JSON leaves as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
