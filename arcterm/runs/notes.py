"""Tags and a note that a person gives a run: ``notes.json``, beside a ``run.json`` that stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from arcterm.errors import ConfigError, DataError
from arcterm.files import read_json, write_json
from arcterm.runs.store import Run

_TAG = re.compile(r"\w[\w.:+/-]{0,39}")
_LONGEST_NOTE = 2000


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """`tags`, each once and in order, and a note of one or more lines as `text`."""

    tags: tuple[str, ...] = ()
    text: str = ""

    def with_tags(self, add: Iterable[str] = (), drop: Iterable[str] = ()) -> Notes:
        """Return these notes with tags added and dropped; raises `ConfigError` for what can be no tag."""
        tags = {*self.tags, *map(check_tag, add)} - set(drop)
        return msgspec.structs.replace(self, tags=tuple(sorted(tags)))

    def with_text(self, text: str) -> Notes:
        """Return these notes with another text; raises `ConfigError` for one that is too long."""
        text = text.strip()
        if len(text) > _LONGEST_NOTE:
            raise ConfigError(
                f"a note has at most {_LONGEST_NOTE:,} characters, and this one has {len(text):,}",
                "shorten it, or keep it in a file of its own",
            )
        return msgspec.structs.replace(self, text=text)


NONE = Notes()


def check_tag(text: str) -> str:
    """Return `text`, which is a tag, or raise `ConfigError`."""
    if not _TAG.fullmatch(text):
        raise ConfigError(
            f"{text!r} can't be a tag", "use letters, digits, '.', '_', ':', '+', '/' and '-', at most 40"
        )
    return text


def read(run: Run) -> Notes:
    """Return the notes of a run, `NONE` if it has none; raises `DataError` if they can't be read."""
    try:
        return read_json(_path(run), Notes, hint="remove the file: nothing but tags and note is in it")
    except (FileNotFoundError, NotADirectoryError):
        return NONE
    except OSError as error:
        raise DataError(
            f"{_path(run)} can't be read: {error.strerror}", "look at its owner and mode"
        ) from None


def write(run: Run, notes: Notes) -> None:
    """Replace the notes of a run, whole; raises `DataError` if the disk doesn't take them."""
    try:
        if notes == NONE:
            _path(run).unlink(missing_ok=True)
        else:
            write_json(_path(run), notes)
    except OSError as error:
        raise DataError(
            f"{_path(run)} can't be written: {error.strerror}", "check free space and permissions there"
        ) from None
    except UnicodeEncodeError:
        raise ConfigError("the note is not UTF-8", "type it again") from None


def _path(run: Run) -> Path:
    return run.path / "notes.json"
