"""Text of strangers, made fit to be shown."""

from __future__ import annotations

import re

_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]*(\x07|\x1b\\)?|.)?")
_BREAK = re.compile("[\n\u2028\u2029]")
# C0 but for the tab, DEL, C1, and what turns the direction of writing
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f]")
_UNDECODED = re.compile("[\ud800-\udfff]")  # a byte of a file's name that is no UTF-8


def clean(text: str) -> str:
    """`text` as one line without escape sequences, control characters and bidirectional overrides."""
    text = _BREAK.sub(" ", _SEQUENCE.sub("", text))
    return _UNDECODED.sub("\ufffd", _CONTROL.sub("", text))
