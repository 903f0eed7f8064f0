"""The colours to choose from."""

from __future__ import annotations

from textual.theme import Theme

# Okabe and Ito, Color Universal Design (2008): eight colours that stay apart in every kind of colour vision.
COLOUR_BLIND = Theme(
    name="arcterm-colour-blind",
    primary="#56B4E9",
    secondary="#CC79A7",
    accent="#F0E442",
    warning="#E69F00",
    error="#D55E00",
    success="#009E73",
    foreground="#E8E8E8",
    background="#101010",
    surface="#181818",
    panel="#202020",
)
HIGH_CONTRAST = Theme(
    name="arcterm-high-contrast",
    primary="#66CCFF",
    secondary="#FF99FF",
    accent="#FFFF00",
    warning="#FFBB33",
    error="#FF6666",
    success="#66FF66",
    foreground="#FFFFFF",
    background="#000000",
    surface="#000000",
    panel="#1C1C1C",
)

THEMES: dict[str, tuple[str, str]] = {
    "dark": ("textual-dark", "light text on dark"),
    "light": ("textual-light", "dark text on light"),
    "colour-blind": (COLOUR_BLIND.name, "colours that stay apart in every kind of colour vision"),
    "high-contrast": (HIGH_CONTRAST.name, "black, white and bright colours"),
    "terminal": ("ansi-dark", "the terminal's own sixteen colours and its background"),
    "terminal-light": ("ansi-light", "the same on a light background"),
    "nord": ("nord", "cool and dim"),
    "gruvbox": ("gruvbox", "warm"),
    "solarized": ("solarized-dark", "low contrast"),
}
"""By name: Textual's name, and what a person sees."""
