"""A recipe below what was asked for: what it sets, and what the command changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcterm_registry import Recipe, get, names

from arcterm.commandline import written
from arcterm.launch.recipes import find
from arcterm.overrides import OPTION_GROUPS
from arcterm.settings import DEFAULTS


def beneath(recipe: Recipe, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the recipe's settings that hold below those `asked` for.

    The options of a backbone, loss or data set go when another is asked for, since it has others; the length
    in steps when one in epochs is asked for, and the other way round.
    """
    settings = dict(recipe.values)
    for group in OPTION_GROUPS:
        if asked.get(group) not in (None, settings.get(group)):
            settings.pop(f"{group}_options", None)
    if {"epochs", "steps"} & {key for key in asked if asked[key] is not None}:
        settings.pop("epochs", None)
        settings.pop("steps", None)
    return settings


def dataset(settings: Mapping[str, Any]) -> str:
    """The data set of `settings` or else of their recipe; empty if neither says one."""
    recipe = find.find(settings["recipe"]).values if settings.get("recipe") else {}
    return str(settings.get("dataset") or recipe.get("dataset") or "")


def scale(recipe: Recipe | None, asked: Mapping[str, Any], optimizer: str, whole: int) -> float:
    """The factor of the recipe's rate for steps of `whole` images: in a straight line for SGD.

    A rate that is asked for is taken as it is, and so is AdamW's, whose updates don't grow with the gradient.
    """
    own = recipe.values.get("lr") if recipe and recipe.global_batch else None
    if recipe is None or own is None or asked.get("lr") or optimizer == "adamw":
        return 1.0
    return whole / recipe.global_batch


def passes(recipe: Recipe | None, asked: Mapping[str, Any], nproc: int, parts: int) -> int:
    """In how many parts a rank takes its images of a step, so that a step is the recipe's; else `parts`.

    They are as many more as there are fewer ranks. A batch that is asked for makes steps of its own.
    """
    batch = recipe.values.get("batch_size") if recipe else None
    if recipe is None or not batch or {"batch_size", "accumulate", "loss"} & asked.keys():
        return parts
    fit, left = divmod(recipe.global_batch, batch * nproc)
    return fit if fit and not left else parts


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with the options of plug-ins as ``loss.margin``."""
    found = {}
    for key, value in settings.items():
        group = key.removesuffix("_options")
        options = (
            {f"{group}.{name}": given for name, given in value.items()} if group != key else {key: value}
        )
        found.update(options)
    return found


def lines(recipe: Recipe, asked: Mapping[str, Any]) -> list[str]:
    """Lines of a plan: what the recipe decides, and what the command says instead of it."""
    given = flat(asked)
    held = flat(beneath(recipe, asked))
    held.pop("accumulate", None)  # which follows the ranks, see `passes`
    taken = [f"{key} {written(value)}" for key, value in held.items() if key not in given]
    instead = [
        f"{key} {written(given[key])} ({written(value)})"
        for key, value in flat(recipe.values).items()
        if key in given and written(given[key]) != written(value)
    ]
    said = [f"recipe    {asked['recipe']}: {', '.join(taken) or 'nothing is left of it'}"]
    return [*said, *([f"instead   {', '.join(instead)}"] if instead else [])]


def against_defaults(recipe: Recipe) -> list[list[str]]:
    """Rows of a recipe's settings: name, value and default, which is empty where it is worked out."""
    usual = dict(DEFAULTS)
    for kind in ("backbone", "loss"):
        name = recipe.values.get(kind, "")
        declared = get(kind, name).options if name in names(kind) else ()
        usual |= {f"{kind}.{option.name}": option.default for option in declared}
    return [[key, written(value), _shown(usual.get(key))] for key, value in flat(recipe.values).items()]


def _shown(value: Any) -> str:
    return "" if value is None else written(value)
