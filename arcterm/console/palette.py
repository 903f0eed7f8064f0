"""The colours of roles, from the theme. Roles differ in more than colour where it matters: NO_COLOR."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from rich.style import Style
from textual.color import Color

_NEEDED = ("foreground", "background", "primary", "secondary", "accent", "success", "warning", "error")
_COLOURS = {
    "head": "primary",
    "accent": "accent",
    "good": "success",
    "warn": "warning",
    "bad": "error",
    "key": "accent",
    "s1": "primary",
    "s2": "warning",
    "s3": "success",
    "s4": "accent",
    "s5": "secondary",
    "s6": "error",
}
_FADED = {"dim": 0.6, "rule": 0.3, "band": 0.35}
_BOLD = ("head", "warn", "bad", "key", "bold")

ROLES = ("", *_COLOURS, *_FADED, "bold", "cursor")
"""Every role that a panel may give its text."""


def palette(variables: Mapping[str, str]) -> dict[str, Style]:
    """The style of each role in a theme, given its variables (``App.theme_variables``)."""
    return _palette(tuple(variables.get(name, "ansi_default") for name in _NEEDED))


@lru_cache(maxsize=8)
def _palette(values: tuple[str, ...]) -> dict[str, Style]:
    colours = {name: Color.parse(value) for name, value in zip(_NEEDED, values, strict=True)}
    styles = {role: Style(bold=role in _BOLD) for role in ROLES}
    styles["cursor"] = Style(reverse=True)
    for role, name in _COLOURS.items():
        styles[role] += Style(color=colours[name].rich_color)
    foreground, background = colours["foreground"], colours["background"]
    for role, strength in _FADED.items():
        named = foreground.ansi is not None or background.ansi is not None  # can't be mixed
        faded = background.blend(foreground, strength)
        styles[role] = Style(dim=True) if named else Style(color=faded.rich_color)
    return styles
