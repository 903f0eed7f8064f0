"""stdout and stderr: writing raises no encoding errors and passes no control sequences."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterable
from typing import TextIO

from arcterm.errors import ArctermError
from arcterm.text import clean

_NEAREST = "arcterm.nearest"
_PLAIN = {
    "×": "x", "±": "+-", "→": "->", "–": "-", "—": "-", "−": "-", "·": "|", "°": " deg", "≤": "<=", "≥": ">=",
    "≈": "~", "✓": "+", "✗": "x", "θ": "theta", "φ": "phi", "β": "beta", "‘": "'", "’": "'",
    "“": '"', "”": '"',
}  # fmt: skip


class OutputError(ArctermError):
    """A command's output can't be written."""

    exit_code = 5


class ReaderGoneError(Exception):
    """The reader of stdout or stderr has closed it."""


def prepare() -> None:
    """Let stdout and stderr replace characters that their encoding lacks by similar ones."""
    codecs.register_error(_NEAREST, _nearest)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the parent process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_NEAREST)


def write(stream: TextIO, text: str) -> None:
    """Write `text` as it is, at once; raises `ReaderGoneError`, or `OutputError` where there is no room."""
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise OutputError(f"the output can't be written: {error.strerror}", "make room for it") from None


def write_lines(stream: TextIO, lines: Iterable[str]) -> None:
    """Write each of `lines` as one line, cleaned of whatever would act on a terminal."""
    write(stream, "".join(f"{clean(line)}\n" for line in lines))


def shown(text: str, stream: TextIO) -> str:
    """Several lines of text, cleaned, with similar characters for those that `stream` lacks."""
    encoding = stream.encoding or "utf-8"
    lines = "\n".join(clean(line) for line in text.split("\n"))
    return lines.encode(encoding, _NEAREST).decode(encoding)


def hush() -> None:
    """Send streams that are read no more to /dev/null; Python would report errors as it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError, ValueError):
                os.dup2(nowhere, stream.fileno())


def _nearest(error: UnicodeError) -> tuple[str, int]:
    """A codec's error handler: similar ASCII characters, or a question mark."""
    assert isinstance(error, UnicodeEncodeError)
    found = error.object[error.start : error.end]
    return "".join(map(_ascii, found)), error.end


def _ascii(sign: str) -> str:
    import unicodedata

    plain = unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode()
    return _PLAIN.get(sign) or plain or "?"
