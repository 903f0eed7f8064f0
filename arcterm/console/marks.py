"""The runs that are marked, in the order of marking: each has a sign and a colour, wherever it is drawn."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from arcterm.console import remembered
from arcterm.show.lines import Piece

SIGNS = "o+x#*@%&=~"
"""As many runs can be told apart: each has a sign of its own, and of any six each a colour of its own."""

_COLOURS = 6


def look(index: int) -> Piece:
    """The sign of the run marked at place `index`, and the role that colours it."""
    return SIGNS[index], f"s{1 + index % _COLOURS}"


class Marks:
    """The ids of marked runs of a root, kept between sessions."""

    def __init__(self, root: Path) -> None:
        self._key = f"marks {root.absolute()}"
        self.ids: list[str] = remembered.get(self._key, [])[: len(SIGNS)]

    def toggle(self, run_id: str) -> bool:
        """Mark a run, or take its mark off; returns False if no more can be marked."""
        if run_id in self.ids:
            self.ids.remove(run_id)
        elif len(self.ids) < len(SIGNS):
            self.ids.append(run_id)
        else:
            return False
        remembered.put(self._key, self.ids)
        return True

    def keep(self, there: Collection[str]) -> None:
        """Forget runs that are not `there` any more."""
        kept = [run_id for run_id in self.ids if run_id in there]
        if kept != self.ids:
            self.ids = kept
            remembered.put(self._key, kept)

    def signs(self) -> dict[str, Piece]:
        """The sign and role of each marked run, by its id."""
        return {run_id: look(index) for index, run_id in enumerate(self.ids)}
