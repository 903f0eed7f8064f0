"""Verification sets before a launch: those that can't be used are set aside, and the run goes on without."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from arcterm_registry.contracts import DatasetFacts

from arcterm.errors import ArctermError
from arcterm.progress import Progress, unheard
from arcterm.sources import DataSource

FOLDS = 10


class _Look(NamedTuple):
    """Sets to set aside and sentences about others; not `whole` if the data set couldn't be opened."""

    set_aside: dict[str, str]
    problems: list[str]
    whole: bool


_looks: dict[str, _Look] = {}
"""Results in this process, by data set and content."""


def inspect(source: DataSource, progress: Progress | None = None) -> DatasetFacts:
    """Inspect a data set; `verification` has only sets that can be scored, `set_aside` the others.

    Where the data set hasn't decoded its sets itself, it is opened and every image of every set is, once in
    this process for the same name, options and content. Raises `DataError`.
    """
    facts = source.inspect(progress)
    key = f"{source.name} {dict(source.options)} {facts.fingerprint} {sorted(facts.verification.items())}"
    aside, problems = dict(facts.set_aside or {}), list(facts.problems)
    for name, pairs in facts.verification.items():
        if pairs < FOLDS:
            aside[name] = (
                f"it has {pairs} pairs, fewer than the {FOLDS} folds of the protocol; "
                "`arcterm data bin SRC DST.bin` makes one of more"
            )
    unseen = [name for name in facts.verification if name not in aside] if facts.set_aside is None else []
    if unseen:
        found = _looks.get(key) or _look(unseen, facts.image_size, source, progress)
        if found.whole:  # a form asks again and again
            _looks[key] = found
        aside |= found.set_aside
        problems += found.problems
    left = {name: pairs for name, pairs in facts.verification.items() if name not in aside}
    return replace(facts, verification=left, set_aside=aside, problems=tuple(problems))


def _look(names: list[str], size: tuple[int, int], source: DataSource, progress: Progress | None) -> _Look:
    import numpy as np

    from arcterm.formats.pairs.usable import check_usable, unmeasured

    found = _Look({}, [], whole=True)
    try:
        sets = source.open().verification
    except Exception as error:  # noqa: BLE001  a plug-in's, which will end the run in the same words
        return _Look({}, [f"the verification sets weren't looked at: {_words(error)}"], whole=False)
    for name in names:
        try:
            pairs = sets[name]
            check_usable(name, pairs, size, progress or unheard)
            found.problems.extend(unmeasured(name, np.asarray(pairs.same, np.bool_)))
        except Exception as error:  # noqa: BLE001  a plug-in's, whatever it is
            found.set_aside[name] = _words(error)
    return found


def _words(error: Exception) -> str:
    return error.message if isinstance(error, ArctermError) else f"{type(error).__name__}: {error}"
