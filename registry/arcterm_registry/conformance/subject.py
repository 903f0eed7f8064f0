"""The subject of a check: a declaration and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arcterm_registry.declare import Declaration, Option, Value

_MOST_VALUES = 40


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A plug-in under check.

    `name` is empty where a declaration was given that need not be installed. `options` are those of the
    plug-in, and for a data set or a detector ``path``. `quick` leaves out what takes long, `compiler` is
    torch.compile's backend.
    """

    kind: str
    name: str
    declaration: Declaration
    options: Mapping[str, Value]
    quick: bool = False
    compiler: str = "inductor"

    @property
    def title(self) -> str:
        """Its name in a sentence, e.g. ``backbone 'r50'``."""
        return f"{self.kind} {self.name!r}" if self.name else f"{self.kind} {self.declaration.factory}"

    def factory(self) -> Callable[..., Any]:
        """The factory, its module imported."""
        return self.declaration.load()

    def settings(self, **changed: Value) -> dict[str, Any]:
        """The options that the factory is called with; raises `OptionError` for a bad one."""
        given = {key: value for key, value in {**self.options, **changed}.items() if key != "path"}
        return {key: value for key, value in self.declaration.settings(given).items() if value is not None}

    def variations(self) -> list[dict[str, Any]]:
        """Every option in turn at each of its choices or bounds; those left out that do not go together."""
        found: list[dict[str, Any]] = [
            {option.name: v} for option in self.declaration.options for v in _extremes(option)
        ]
        return [change for change in found if self._goes(change)][:_MOST_VALUES]

    def _goes(self, change: Mapping[str, Value]) -> bool:
        try:
            self.declaration.check_together(self.settings(**change))
        except ValueError:
            return False
        return True


def _extremes(option: Option) -> list[Value]:
    """Values at the edges of what an option takes; none for free text."""
    if option.choices:
        return list(option.choices)
    if option.type is bool:
        return [False, True]
    if option.type is str:
        return []
    span = 1.0 if option.low is None or option.high is None else option.high - option.low
    inward = 1.0 if option.type is int else span / 1000
    edges = []
    if option.low is not None:
        edges.append(option.low + inward * option.open_low)
    if option.high is not None:
        edges.append(option.high - inward * option.open_high)
    return [option.type(edge) for edge in edges]
