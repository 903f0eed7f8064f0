"""Text of strangers, made fit to be shown."""

from __future__ import annotations

import re


def clean(text: str) -> str:
    """`text` without escape sequences and control characters, safe to show in a terminal."""
    text = re.sub(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?", "", text)
    return "".join(c if c == "\t" or (c >= " " and not "\x7f" <= c <= "\x9f") else "" for c in text)
