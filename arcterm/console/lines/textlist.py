"""A list of lines that grows while it is read: its filter, its cursor, what is seen of it. No Textual."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from arcterm.show.lines import Line, heading, shorten

MOST = 20_000
"""Lines of each kind that are held; older ones go."""
_SHIFT = 20


class TextLine(NamedTuple):
    """A line in safe characters. `marked` ones are worth a jump: a warning, or what can't be read."""

    text: str
    kind: str = ""
    role: str = ""
    marked: bool = False


@dataclass
class TextList:
    """Lines in the order in which they came; `total` counts those that are no longer held too.

    A `needle` leaves those lines that hold it, in any case unless it has a capital; one that begins with
    ``!`` those that don't. With `near` the others are seen as well. `kind` leaves lines of one kind.
    """

    most: int = MOST
    lines: list[TextLine] = field(default_factory=list)
    total: int = 0
    needle: str = ""
    kind: str = ""
    near: bool = False
    follows: bool = True
    cursor: int = 0
    """Place of the line that is pointed at, among those that are seen."""
    _seen: list[int] = field(default_factory=list)
    _held: Counter[str] = field(default_factory=Counter)
    _top: int = 0
    _left: int = 0
    _height: int = 1

    @property
    def seen(self) -> list[TextLine]:
        """The lines that the filter leaves."""
        return [self.lines[at] for at in self._seen]

    @property
    def pointed(self) -> TextLine | None:
        """The line at the cursor; None without any."""
        return self.lines[self._seen[self.cursor]] if self._seen else None

    @property
    def count(self) -> str:
        """``37/12,000``: the lines that are seen, and all."""
        return f"{len(self._seen):,}/{self.total:,}"

    def clear(self) -> None:
        """Forget all lines, and keep the filter."""
        self.lines, self._seen, self.total = [], [], 0
        self._held.clear()
        self.cursor = self._top = 0

    def append(self, lines: Iterable[TextLine]) -> None:
        """Add lines at the end; where there are twice as many as are held, the older half goes."""
        for line in lines:
            if self._sees(line):
                self._seen.append(len(self.lines))
            self.lines.append(line)
            self._held[line.kind] += 1
            self.total += 1
        if any(count >= 2 * self.most for count in self._held.values()):
            self._forget()
        if self.follows:
            self.cursor = max(0, len(self._seen) - 1)

    def search(self, needle: str) -> None:
        """Look for another `needle`; empty sees all."""
        self.needle, self.near = needle, False
        self._again()

    def choose(self, kind: str) -> None:
        """See the lines of one kind; empty sees all."""
        self.kind = kind
        self._again()

    def toggle_near(self) -> None:
        """See the lines beside those that match too, or not."""
        self.near = not self.near
        self._again()

    def move(self, by: int) -> None:
        """Move the cursor; at the last line it follows what comes."""
        last = max(0, len(self._seen) - 1)
        self.cursor = min(max(0, self.cursor + by), last)
        self.follows = self.cursor == last

    def page(self, by: int) -> None:
        """Move the cursor by pages."""
        self.move(by * max(1, self._height - 1))

    def shift(self, by: int) -> None:
        """Move the text of the lines sideways."""
        self._left = max(0, self._left + by * _SHIFT)

    def jump(self, by: int) -> bool:
        """Go to the next (1) or previous (-1) line that matches, seen among those beside it.

        Without a needle to the next one that is marked; after the last comes the first. Returns whether there
        is one.
        """
        if self.needle and not self.near:
            self.toggle_near()
        count = len(self._seen)
        for step in range(1, count + 1):
            place = (self.cursor + by * step) % count
            line = self.lines[self._seen[place]]
            if self._matches(line) if self.needle else line.marked:
                self.cursor, self.follows = place, False
                return True
        return False

    def paint(self, width: int, height: int) -> list[Line]:
        """The lines about the cursor, that one with a mark; what was looked for stands out."""
        self._height = height
        filled = max(0, len(self._seen) - height)  # from where no row stays empty below the last line
        self._top = max(min(self._top, self.cursor, filled), self.cursor - height + 1, 0)
        rows = []
        for place in range(self._top, min(self._top + height, len(self._seen))):
            line = self.lines[self._seen[place]]
            pointed = place == self.cursor and not self.follows
            text = shorten(line.text[self._left :], width - 2)
            rows.append(
                [("▸ " if pointed else "! " if line.marked else "  ", "accent" if pointed else line.role)]
            )
            rows[-1] += self._lit(text, line.role or ("bold" if pointed else ""))
        return rows

    def title(self, name: str, width: int) -> Line:
        """The heading: what the lines are, the filter, how many are seen, whether the newest is followed."""
        said = [self.kind, f"/{self.needle}" if self.needle else "", "and beside" if self.near else ""]
        state = "follows" if self.follows else "stands"
        right = "  ".join(filter(None, [*said, f"{self.count} lines", state]))
        return heading(name, width, right)

    def _sees(self, line: TextLine) -> bool:
        return (not self.kind or line.kind == self.kind) and (self.near or self._matches(line))

    def _matches(self, line: TextLine) -> bool:
        needle = self.needle.removeprefix("!")
        if not needle:
            return True
        text = line.text if needle != needle.lower() else line.text.lower()
        return (needle in text) != self.needle.startswith("!")

    def _again(self) -> None:
        """Filter all lines anew; the cursor stays at its line, or at the one before it that is seen."""
        at = self._seen[self.cursor] if self._seen else 0
        self._seen = [place for place, line in enumerate(self.lines) if self._sees(line)]
        last = max(0, len(self._seen) - 1)
        self.cursor = last if self.follows else min(bisect_left(self._seen, at), last)

    def _forget(self) -> None:
        """Drop the older lines of each kind of which too many are held."""
        left = {kind: max(0, count - self.most) for kind, count in self._held.items()}
        kept, fewer = [], 0
        at = self._seen[self.cursor] if self._seen else 0
        for place, line in enumerate(self.lines):
            if left[line.kind]:
                left[line.kind] -= 1
                fewer += place < at
            else:
                kept.append(line)
        self.lines, self._held = kept, Counter(line.kind for line in kept)
        self._seen = [place for place, line in enumerate(kept) if self._sees(line)]
        self.cursor = min(bisect_left(self._seen, at - fewer), max(0, len(self._seen) - 1))

    def _lit(self, text: str, role: str) -> Line:
        """`text` in pieces: what was looked for has a colour of its own."""
        needle = self.needle
        if not needle or needle.startswith("!"):
            return [(text, role)]
        within = text if needle != needle.lower() else text.lower()
        pieces: Line = []
        end = 0
        while (found := within.find(needle, end)) >= 0:
            pieces += [(text[end:found], role), (text[found : found + len(needle)], "key")]
            end = found + len(needle)
        return [piece for piece in [*pieces, (text[end:], role)] if piece[0]]
