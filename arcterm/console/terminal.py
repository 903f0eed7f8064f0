"""The terminal's abilities, and ASCII for one that has nothing else."""

from __future__ import annotations

import locale
import os
import sys

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from arcterm.errors import ConfigError

_PLAIN = str.maketrans(
    {
        **dict.fromkeys("─╌╴╶━╸╺▔▁▂▃▄", "-"),
        **dict.fromkeys("│┃▎▍▏▕▌▐", "|"),
        **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╔╗╚╝", "+"),
        **dict.fromkeys("█▅▆▇▓", "#"),
        **dict.fromkeys("░▒", "."),
        **dict.fromkeys("▶▸►❯›→", ">"),
        **dict.fromkeys("◀◂‹←", "<"),
        **dict.fromkeys("▼▾↓⮟", "v"),
        **dict.fromkeys("▲▴↑", "^"),
        **dict.fromkeys("■●•✓", "*"),
        **dict.fromkeys("◌○·", "."),
        **dict.fromkeys("–—−", "-"),
        **dict.fromkeys("“”", '"'),
        **dict.fromkeys("‘’", "'"),
        "✗": "x",
        "×": "x",
        "…": "~",
        "°": "'",
        "∞": "8",
        "²": "2",
        "⌛": " ",
        "\u00a0": " ",
    }
)
_WORDS = {"≤": "<=", "≥": ">=", "∞": "inf", "°C": "C", " °": " deg"}
_SPARK = str.maketrans("▁▂▃▄▅▆▇█", "12345678")


def require() -> None:
    """Raise `ConfigError` if the console can't be drawn here."""
    hint = "`arcterm runs` lists the runs, `arcterm attach --plain RUN` prints one as it goes"
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise ConfigError("the console needs a terminal, and this is a pipe or a file", hint)
    if os.environ.get("TERM", "") in ("", "dumb"):
        raise ConfigError(
            f"the console can't be drawn on TERM={os.environ.get('TERM', '') or '(unset)'}", hint
        )


def ascii_only() -> bool:
    """Whether to draw with ASCII alone: ``ARCTERM_ASCII=1``, or a locale without UTF-8."""
    wanted = os.environ.get("ARCTERM_ASCII", "")
    if wanted:
        return wanted.lower() not in ("0", "no", "false")
    asked = os.environ.get("LC_ALL") or os.environ.get("LC_CTYPE") or os.environ.get("LANG")
    if asked in ("C", "POSIX"):  # Python takes these for UTF-8; a terminal need not
        return True
    return "utf" not in locale.getpreferredencoding(False).lower()


def colourless() -> bool:
    """Whether the user asked for no colour (https://no-color.org)."""
    return bool(os.environ.get("NO_COLOR"))


def plain(text: str) -> str:
    """`text` in ASCII, where one character may become a word: for text without a fixed width."""
    for sign, word in _WORDS.items():
        text = text.replace(sign, word)
    return text.translate(_SPARK)


class AsciiFilter(LineFilter):
    """Turns every character on the screen into ASCII of the same width."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [Segment(_ascii(text), style, control) for text, style, control in segments]


def _ascii(text: str) -> str:
    if text.isascii():
        return text
    translated = text.translate(_PLAIN)
    return "".join(c if c.isascii() else "?" * cell_len(c) for c in translated)
