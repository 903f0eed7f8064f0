"""A user's facts about a model of another program: its backbone, and how images enter it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arcterm_registry import PerPlane, get

from arcterm.errors import ConfigError
from arcterm.overrides import options_for

_FRACTIONS = "numbers are of pixels 0..255; give fractions of 1 times 255, e.g. 0.5 as 127.5"


def parse_known(
    backbone: str | None = None,
    assignments: Sequence[str] = (),
    *,
    channels: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    scale: float | None = None,
) -> dict[str, Any]:
    """Return what a user says of a foreign model, as `arcterm.export.model.open_model` takes it.

    Keys are those of ``backbone``, ``options``, ``channels``, ``mean`` and ``scale`` that are known.
    `assignments` are ``KEY=VALUE`` of the backbone. Raises `ConfigError` naming the option.
    """
    known = parse_preprocess(channels=channels, mean=mean, std=std, scale=scale)
    pairs = [text.partition("=") for text in assignments]
    for key, equals, _ in pairs:
        if not equals:
            raise ConfigError(
                f"--set {key!r} has no '='", "write --set key=value, e.g. --set embedding_size=256"
            )
    if not backbone:
        if pairs:
            raise ConfigError("--set sets an option of a backbone", "give --backbone NAME too")
        return known
    options = {key.removeprefix("backbone."): value for key, _, value in pairs}
    options_for(get("backbone", backbone).options, options, f"backbone {backbone}")
    return known | {"backbone": backbone, "options": options}


def parse_preprocess(
    *,
    channels: str | None = None,
    mean: str | None = None,
    std: str | None = None,
    scale: float | None = None,
) -> dict[str, Any]:
    """Return ``channels``, ``mean`` and ``scale`` (1 / std) as far as they are given.

    `mean` and `std` are one number of 0..255, or three, of red, green and blue: ``123.7,116.3,103.5``.
    Raises `ConfigError` naming the option.
    """
    known: dict[str, Any] = {}
    if channels:
        if channels.lower() not in ("rgb", "bgr"):
            raise ConfigError(f"--channels is rgb or bgr, not {channels!r}", "rgb is usual")
        known["channels"] = channels.lower()
    if mean:
        known["mean"] = _numbers("--mean", mean, least=0, usual="127.5")
        if 0 < max(_listed(known["mean"])) <= 1:
            raise ConfigError(f"--mean {mean} looks like fractions of 1", _FRACTIONS)
    if std and scale is not None:
        raise ConfigError("--std and --scale say the same: scale is 1 / std", "give one of them")
    if std:
        found = _numbers("--std", std, least=1, usual="127.5")
        known["scale"] = tuple(1 / n for n in found) if isinstance(found, tuple) else 1 / found
    if scale is not None:
        if not (math.isfinite(scale) and scale > 0):
            raise ConfigError(f"--scale {scale} is no factor above 0", "1/128 = 0.0078125 is usual")
        known["scale"] = scale
    return known


def _numbers(flag: str, text: str, *, least: float, usual: str) -> PerPlane:
    """Parse one number or three; raises `ConfigError`."""
    try:
        numbers = [float(part) for part in text.split(",")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError(text)
    except ValueError:
        raise ConfigError(
            f"{flag} {text} is no number", f"give one, or three of red, green and blue: {flag} {usual}"
        ) from None
    if len(numbers) not in (1, 3):
        raise ConfigError(f"{flag} {text} has {len(numbers)} numbers", "give one, or three: red,green,blue")
    if wrong := [number for number in numbers if not least <= number <= 255]:
        hint = _FRACTIONS if 0 < wrong[0] < least else f"{flag} {usual} is usual"
        raise ConfigError(f"{flag} {wrong[0]:g} does not lie in {least:g}..255", hint)
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1], numbers[2])


def _listed(value: PerPlane) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)
