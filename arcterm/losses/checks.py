"""Options that are each in their range and yet do not go together; nothing here needs torch."""

from __future__ import annotations

from typing import Any

from arcterm_registry import Loss, OptionError, PluginError, get, scan


def magface(*, low_norm: float, high_norm: float, **_: Any) -> None:
    """Require that the norms span a range; raises `ValueError`."""
    if low_norm >= high_norm:
        raise ValueError(f"low_norm {low_norm:g} is not below high_norm {high_norm:g}")


def sub_center(
    *, over: str, margin: float | None = None, scale: float | None = None, **_: Any
) -> dict[str, float]:
    """Return `margin` and `scale`, where they have a value, as options of the loss `over`.

    Raises `ValueError` if there is no such loss, it has no class weights, or it does not take them.
    """
    usable = ((plugin.name, plugin.declaration) for plugin in scan("loss"))  # not the broken
    known = [name for name, d in usable if isinstance(d, Loss) and d.form == "margin"]
    try:
        declared = get("loss", over)
    except PluginError as error:
        raise ValueError(f"{error}; over is one of {', '.join(known)}") from None
    if not isinstance(declared, Loss) or declared.form != "margin":
        raise ValueError(f"{over} has no class weights; over is one of {', '.join(known)}")
    asked = {name: v for name, v in (("margin", margin), ("scale", scale)) if v is not None}
    try:
        declared.settings(asked)
    except OptionError as error:
        raise ValueError(f"{over}: {error}") from None
    return asked
