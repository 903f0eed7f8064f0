"""What is drawn with Rich: its console, and text fit to stand in a picture."""

from __future__ import annotations

from typing import Any

import rich.console
from rich.text import Text

from arcterm.show.streams import ReaderGoneError
from arcterm.text import clean


class Console(rich.console.Console):
    """A console that tells when nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        """Called while a broken pipe is handled, which Rich would make an exit of its own."""
        raise ReaderGoneError


def cleaned(text: str, style: str = "", **layout: Any) -> Text:
    """`text` on one line, cleaned of whatever would act on the terminal; never markup."""
    return Text(clean(text), style, **layout)
