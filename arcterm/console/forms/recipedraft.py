"""A recipe in the launch form: what it puts into fields that are left empty. No Textual."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from arcterm_registry import Recipe

from arcterm.config import field_text
from arcterm.console.forms.draft import Field
from arcterm.launch.recipes import find, layer
from arcterm.launch.recipes.find import Listed
from arcterm.overrides import merge

_OF_A_RUN = ("name", "recipe", "nproc", "gpus", "launcher", "launcher_options")


def installed() -> dict[str, Listed]:
    """The recipes that a form offers, by name, broken ones included. Imports their declarations."""
    return {one.name: one for one in find.everything()}


def placeholders(recipe: Recipe | None, texts: Mapping[str, str]) -> dict[str, str]:
    """The texts that the recipe stands for where `texts` has none, by field."""
    if recipe is None:
        return {}
    asked = {key: text for key, text in texts.items() if text}
    found = layer.flat(layer.beneath(recipe, asked))
    return {key: field_text(value) for key, value in found.items()}


def with_default(field: Field, text: str | None) -> Field:
    """The field with what the recipe says as its default; as it is if the recipe says nothing."""
    return field if text is None else replace(field, option=replace(field.option, default=text))


def recipe_of(settings: Mapping[str, Any], recipe: Recipe | None, images: int) -> Recipe:
    """The settings of a form as a recipe for steps of `images`: what it says of training, not of a run."""
    below = layer.beneath(recipe, settings) if recipe else {}
    values = {key: value for key, value in merge(below, settings).items() if key not in _OF_A_RUN}
    return Recipe(summary="saved from the form", values=values, global_batch=images if "lr" in values else 0)
