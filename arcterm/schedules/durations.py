"""Settings that are a time in a training, as users write them: steps, ``2000``, or epochs, ``0.5e``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from arcterm_registry import Option, OptionError

_EPOCHS = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?) ?e")
_MOST = 1 << 53  # the last number that a float counts to
_LONGEST = 40


def epochs_of(text: str) -> float | None:
    """Parse ``0.5e``; None for what is no number of epochs."""
    match = _EPOCHS.fullmatch(text.strip())
    return float(match[1]) if match else None


@dataclass(frozen=True, kw_only=True)
class DurationOption(Option):
    """A setting in steps, a number, or in epochs, a text.

    With `share` it may also be a share of all steps, a number below 1, and numbers are floats.
    """

    share: bool = False

    def parse(self, text: str) -> int | float | str:
        text = text.strip()
        if epochs_of(text) is not None:
            return self.check(text)
        try:
            number = float(text) if self.share else int(text)
        except ValueError:
            raise self._refusal(text) from None
        return self.check(number)

    def check(self, value: Any) -> int | float | str:
        if isinstance(value, str):
            known = bool(epochs_of(value)) or (self.share and epochs_of(value) == 0)
        elif isinstance(value, bool) or not isinstance(value, int | float):
            known = False
        elif self.share:
            value = float(value)
            known = 0 <= value < 1 or (value < _MOST and value.is_integer() and value > 0)
        else:
            known = isinstance(value, int) and 1 <= value < _MOST
        if not known:
            raise self._refusal(value)
        checked: int | float | str = value
        return checked

    def _refusal(self, value: object) -> OptionError:
        units = ["steps, e.g. 2000", "epochs, e.g. 0.5e"]
        if self.share:
            units.insert(0, "a share of the steps below 1, e.g. 0.1")
        least = "" if self.share else ", above 0"
        text = repr(value)
        text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
        return OptionError(f"{self.name} is {', '.join(units[:-1])}, or {units[-1]}{least}, not {text}")
