"""TOML files of strangers, read only if reading them is quick and small."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

from arcterm.errors import ConfigError

_MOST_BYTES = 64 << 10
_DEEPEST = 16
_LONGEST = 256
_MOST_PARTS = 8

# Strings and comments as tomllib takes them; one that is never closed goes on to where tomllib gives up.
_TEXT = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"{3,5}|\\?\Z)|'
    r"'''.*?(?:'{3,5}|\Z)|"
    r'"(?:[^"\\\n]|\\.)*"?|'
    r"'[^'\n]*'?|#[^\n]*",
    re.DOTALL,
)
_DOTTED = re.compile(rf"[\w-]+(?:[ \t]*\.[ \t]*[\w-]+){{{_MOST_PARTS},}}")
_WORD = re.compile(rf"[\w+.-]{{{_LONGEST + 1},}}")


def read(path: Path, hint: str) -> dict[str, Any]:
    """The tables of a TOML file; raises `ConfigError` if it can't be read quickly and in little memory.

    `hint` tells whoever named the file what to do then.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device may never end
            raise ConfigError(f"{path} is not a plain file", hint)
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"can't read {path}: {why}", hint) from None
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{path} is longer than {_MOST_BYTES:,} bytes", hint)
    if problem := _excess(text):
        raise ConfigError(f"{path} {problem}", hint)
    try:
        import tomllib  # few processes read such a file

        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a TOMLDecodeError is a ValueError
        raise ConfigError(f"{path} is not TOML: {error}", hint) from None


def _excess(text: str) -> str:
    """Describe what in `text` would cost tomllib too much time or memory; empty if nothing does."""
    bare = _TEXT.sub("_", text)
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", bare):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST:
        return f"nests {deepest:,} brackets; {_DEEPEST} are enough"
    if found := _WORD.search(bare):
        return f"has a word or number of {len(found[0]):,} characters: {found[0][:20]}…"
    if _DOTTED.search(bare):
        return f"has a key of more than {_MOST_PARTS} parts"
    return ""
