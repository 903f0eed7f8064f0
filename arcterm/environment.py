# ruff: noqa: PTH109, PTH117, PTH118
"""Environments without anything that leads to code in the current directory.

Users work among files of strangers: a ``numpy.py`` beside a data set must not be run because a training was
started there.
"""

from __future__ import annotations

# no pathlib: it would be imported before it is known from where
import os
import sys

_LISTS = ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")
_FOLDERS = ("PYTHONHOME", "PYTHONUSERBASE", "PYTHONPYCACHEPREFIX")


def for_child(**changes: str) -> dict[str, str]:
    """The environment of a child of this process, with `changes`.

    ``PYTHONSAFEPATH`` keeps the current directory out of ``sys.path`` in children of children too, which
    ``python -P`` does not. An empty or relative entry of a search path means the current directory as well.
    """
    made = dict(os.environ)
    for name in _LISTS:
        if name in made:
            entries = _absolute(made[name].split(os.pathsep))
            made[name] = os.pathsep.join(entries)
            if not entries:
                del made[name]
    for name in _FOLDERS:
        if name in made and not os.path.isabs(made[name]):
            del made[name]
    return made | {"PYTHONSAFEPATH": "1"} | changes


def forget_current_directory() -> None:
    """Take the current directory out of this process's ``sys.path``, before it imports anything more.

    Python has made the entries of ``PYTHONPATH`` absolute by now, so that those which were relative are known
    by the variable alone.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:  # nothing can be in a folder that is gone
        return
    given = os.environ.get("PYTHONPATH", "")
    entries = given.split(os.pathsep) if given else []
    wanted = {os.path.normpath(entry) for entry in _absolute(entries)}
    relative = {os.path.normpath(os.path.join(here, entry)) for entry in entries} - wanted
    # the first entry is the folder of the script, or for `python -m` the current one
    if not sys.flags.safe_path and sys.path[:1] == [here]:
        del sys.path[0]
    sys.path[:] = [entry for entry in _absolute(sys.path) if entry not in relative]


def _absolute(entries: list[str]) -> list[str]:
    """The entries that are absolute, or a name for an editable install's import hook."""
    return [entry for entry in entries if os.path.isabs(entry) or entry.endswith(".__path_hook__")]
