"""The style sheet of the console: each of its sources is parsed once."""

from __future__ import annotations

from textual.cache import LRUCache
from textual.css.stylesheet import Stylesheet

_SOURCES = 1000


class ParsedOnce(Stylesheet):
    """Textual's own parses all again for each screen that is opened, as if the colours had changed.

    That happens three times before the first screen is drawn.
    """

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables=variables)
        self._parse_cache = LRUCache(_SOURCES)

    def set_variables(self, variables: dict[str, str]) -> None:
        if variables != self._variables:
            super().set_variables(variables)

    def reparse(self) -> None:
        """Parse the sources that are new, or all where the colours are."""
        self.parse()
