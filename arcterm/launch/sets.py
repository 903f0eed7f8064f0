"""Verification sets before a launch: those that can't be used are set aside, and the run goes on without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from arcterm_registry.contracts import DatasetFacts, PairSet

from arcterm.errors import ArctermError, DataError
from arcterm.files import stamp
from arcterm.inputs import pairsets
from arcterm.inputs.sources import DataSource
from arcterm.progress import Progress, unheard

FOLDS = 10


class _Look(NamedTuple):
    """Sets to set aside and sentences about others; not `whole` if the data set couldn't be opened."""

    set_aside: dict[str, str]
    problems: list[str]
    whole: bool


_looks: dict[str, _Look] = {}
"""Results in this process, by data set and content."""

_counts: dict[str, tuple[int, _Look]] = {}
"""Likewise of files: pairs, and the look."""


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
            aside[name] = _too_few(pairs)
    unseen = [name for name in facts.verification if name not in aside] if facts.set_aside is None else []
    if unseen:
        found = _looks.get(key) or _look(unseen, facts.image_size, source, progress)
        if found.whole:  # a form asks again and again
            _looks[key] = found
        aside |= found.set_aside
        problems += found.problems
    left = {name: pairs for name, pairs in facts.verification.items() if name not in aside}
    return replace(facts, verification=left, set_aside=aside, problems=tuple(problems))


def choose(facts: DatasetFacts, text: str) -> tuple[DatasetFacts, str]:
    """Return `facts` with the verification sets of `text` (see `pairsets.choose`), and `text` made absolute.

    Raises `ArctermError` for what is no set.
    """
    if not text:
        return facts, ""
    aside = dict(facts.set_aside or {})
    names, places = pairsets.split(text, [*facts.verification, *aside])
    own = {name: facts.verification[name] for name in names if name in facts.verification}
    aside = {name: aside[name] for name in names if name in aside}
    problems = list(facts.problems)
    others = pairsets.find(places, names)
    for name, path in others.paths.items():
        key = f"{stamp([path])} {facts.image_size}"
        if key not in _counts:  # a form asks again and again
            _counts[key] = _count(name, others, facts.image_size)
        count, found = _counts[key]
        problems += found.problems
        if found.set_aside:
            aside[name] = next(iter(found.set_aside.values()))
        else:
            own[name] = count
    chosen = replace(facts, verification=own, set_aside=aside, problems=tuple(problems))
    return chosen, ",".join([*names, *map(str, places)])


def _look(names: list[str], size: tuple[int, int], source: DataSource, progress: Progress | None) -> _Look:
    found = _Look({}, [], whole=True)
    try:
        sets = source.open().verification
    except Exception as error:  # noqa: BLE001  a plug-in's, which will end the run in the same words
        return _Look({}, [f"the verification sets weren't looked at: {_words(error)}"], whole=False)
    for name in names:
        try:
            one = _check(name, sets[name], size, progress or unheard)
        except Exception as error:  # noqa: BLE001  a plug-in's, whatever it is
            one = _Look({name: _words(error)}, [], whole=True)
        found.set_aside.update(one.set_aside)
        found.problems.extend(one.problems)
    return found


def _count(name: str, sets: Mapping[str, PairSet], size: tuple[int, int]) -> tuple[int, _Look]:
    """The pairs of a set, and a look at all of its images."""
    try:
        pairs = sets[name]
    except DataError as error:
        return 0, _Look({name: error.message}, [], whole=True)
    return len(pairs.same), _check(name, pairs, size, unheard)


def _check(name: str, pairs: PairSet, size: tuple[int, int], progress: Progress) -> _Look:
    """Decode every image of a set."""
    import numpy as np

    from arcterm.formats.pairs.usable import check_usable, unmeasured

    try:
        if len(pairs.same) < FOLDS:
            return _Look({name: _too_few(len(pairs.same))}, [], whole=True)
        check_usable(name, pairs, size, progress)
        return _Look({}, list(unmeasured(name, np.asarray(pairs.same, np.bool_))), whole=True)
    except Exception as error:  # noqa: BLE001  a plug-in's, whatever it is
        return _Look({name: _words(error)}, [], whole=True)


def _too_few(pairs: int) -> str:
    return (
        f"it has {pairs} pairs, fewer than the {FOLDS} folds of the protocol; "
        "`arcterm data bin SRC DST.bin` makes one of more"
    )


def _words(error: Exception) -> str:
    return error.message if isinstance(error, ArctermError) else f"{type(error).__name__}: {error}"
