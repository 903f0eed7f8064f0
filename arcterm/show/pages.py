"""Pages of a data set as pictures, drawn by a process of its own, since to open one runs a plug-in's code.

``python -m arcterm.show.pages draw|facts PARENT`` is that process.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from arcterm.errors import DataError
from arcterm.inputs.datafacts import DataFacts
from arcterm.processes.child import Child, ChildEndedError, serve
from arcterm.progress import Progress
from arcterm.show.drawing import ColouredText
from arcterm.show.pairscores import Order

T = TypeVar("T")

PEOPLE_ON_PAGE = 6
_IMAGES = 6


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The page to draw, `width` columns wide: of people, or with `pairs` of verification sets.

    Those are in an `order` by the distances in the file `scores`.
    """

    source: str
    width: int
    page: int = 0
    pairs: bool = False
    order: Order = "file"
    scores: str = ""
    mode: Literal["colour", "grey", "ascii"] = "colour"


class Page(msgspec.Struct, frozen=True):
    """A drawn page; `classes` is the number of people in the data set, 0 for pairs."""

    lines: Sequence[Sequence[ColouredText]]
    classes: int = 0


class _Asker(Generic[T]):
    """Asks the process for one answer and waits for it; another thread may `end` it."""

    def __init__(self, verb: str, kind: type[T]) -> None:
        self._child, self._kind = Child("arcterm.show.pages", verb), kind

    def ask(self, request: PageRequest, progress: Progress | None = None) -> T:
        try:
            return msgspec.convert(self._child.ask(msgspec.to_builtins(request), progress), self._kind)
        except (ChildEndedError, msgspec.ValidationError) as error:
            lines = getattr(error, "hint", "").splitlines() or [str(error)]
            raise DataError(
                f"{request.source} can't be shown: {lines[-1]}",
                f"`arcterm data check {shlex.quote(request.source)}` looks at everything in it",
            ) from None

    def end(self) -> None:
        self._child.end()


class PageDrawer(_Asker[Page]):
    """Draws one page."""

    def __init__(self) -> None:
        super().__init__("draw", Page)

    def draw(self, request: PageRequest, progress: Progress | None = None) -> Page:
        return self.ask(request, progress)


class FactReader(_Asker[DataFacts]):
    """Reads a data set once, for its facts."""

    def __init__(self) -> None:
        super().__init__("facts", DataFacts)

    def read(self, source: str, progress: Progress | None = None) -> DataFacts:
        return self.ask(PageRequest(source=source, width=0), progress)


def _answer(verb: str, request: Any, progress: Progress) -> Any:
    from arcterm.show.album import open_album

    wanted = msgspec.convert(request, PageRequest)
    return open_album(wanted.source, progress).facts() if verb == "facts" else _draw(wanted, progress)


def _draw(wanted: PageRequest, progress: Progress) -> Page:
    from arcterm.show import pairscores
    from arcterm.show.album import open_album
    from arcterm.show.faces import draw_person, draw_set

    album = open_album(wanted.source, progress)
    if wanted.pairs or wanted.source.endswith(".bin"):
        distances = pairscores.read(wanted.scores) if wanted.scores else {}
        held = album.sets(_IMAGES, wanted.order, distances)
        drawn = [draw_set(each, wanted.width, wanted.mode) for each in held]
        return Page([line for each in drawn for line in each.lines])
    first = min(wanted.page * PEOPLE_ON_PAGE, max(0, album.classes - 1))
    numbers = f"{first}-{min(first + PEOPLE_ON_PAGE, album.classes) - 1}"
    drawn = [draw_person(person, wanted.width, wanted.mode) for person in album.people(numbers, _IMAGES)]
    return Page([line for each in drawn for line in each.lines], album.classes)


if __name__ == "__main__":
    sys.exit(serve(lambda *request: msgspec.to_builtins(_answer(*request))))
