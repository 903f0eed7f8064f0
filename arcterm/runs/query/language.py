"""The filter language of runs: ``lr>=0.05 OR name:x -tag:old has:note state:failed best>98``.

::

    query = all { "OR" all }           all = term { ["AND"] term }
    term  = ["-"] ( "(" query ")" | KEY OPERATOR VALUE | "has" ":" KEY | WORD )

A word must occur in what a list shows of a run. ``:`` asks whether a text contains the value, or a number
equals it; ``=`` and ``!=`` compare the whole. ``a|b`` are alternatives, ``*`` stands for anything.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from arcterm.errors import ConfigError

Value = str | int | float | bool
Facts = Callable[[str], Iterable[Value]]
"""The values of a run for a key; none where it has no such thing."""
Test = Callable[[Facts], bool]

TEXT = "text"
"""The key of the texts in which a word without a key is looked for."""

_TOKEN = re.compile(
    r"""\s*(?: (?P<open>-?\() | (?P<close>\)) | (?P<not>-?)
        (?: (?P<key>[\w.][\w.-]*)(?P<op>>=|<=|!=|[:=<>])(?P<value>"[^"]*"?|[^\s()]*)
          | (?P<word>"[^"]*"?|[^\s()]+) ) )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(%|[A-Za-z]*)")
_SUFFIXES = {
    **{"": 1.0, "%": 1.0, "k": 1e3, "M": 1e6, "G": 1e9},
    **{"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40, "MB": 1e6, "GB": 1e9, "TB": 1e12},
    **{"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0},
}
_BOOLS = {**dict.fromkeys(("yes", "true", "on"), True), **dict.fromkeys(("no", "false", "off"), False)}
_WHOLE = ("tag",)
"""Keys whose texts are names, of which a part is another name."""
_HINT = "for example: lr>=0.05 OR name:x -tag:old has:note state:failed best>98"


class Percent(float):
    """An accuracy in percent; a filter may give it as a share too: ``lfw>0.99``."""


@dataclass(frozen=True)
class Query:
    """A filter that was understood; `keys` are those that it names."""

    text: str
    keys: frozenset[str]
    matches: Test

    def check(self, known: Collection[str]) -> Query:
        """Return this query; raises `ConfigError` if it names a key that is not `known`."""
        for key in sorted(self.keys.difference(known)):
            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = (
                f"did you mean {near[0]}?" if near else "any setting, verification set or metric can be named"
            )
            raise ConfigError(f"no run has {key}", hint)
        return self


def parse(text: str) -> Query:
    """Return the query of `text`; an empty one is met by every run.

    Raises `ConfigError` in words for what can't be understood.
    """
    parser = _Parser(text)
    test = parser.query()
    return Query(text.strip(), frozenset(parser.keys), test)


class _Parser:
    """Reads a filter from left to right."""

    def __init__(self, text: str) -> None:
        self.keys: set[str] = set()
        self._tokens = [match for match in _TOKEN.finditer(text.rstrip()) if match[0].strip()]
        self._at = 0

    def query(self) -> Test:
        """The whole filter."""
        if not self._tokens:
            return lambda facts: True
        test = self._any()
        if self._at < len(self._tokens):
            raise ConfigError("a ) has no ( before it", "remove it, or put it in quotes")
        return test

    def _any(self) -> Test:
        tests = [self._all()]
        while self._word() == "OR":
            self._at += 1
            tests.append(self._all())
        return tests[0] if len(tests) == 1 else lambda facts: any(test(facts) for test in tests)

    def _all(self) -> Test:
        tests: list[Test] = []
        while (token := self._token()) is not None and not token["close"] and self._word() != "OR":
            self._at += 1
            if token["word"] == "AND" and tests and self._token() is not None:
                continue
            tests.append(self._term(token))
        if not tests:
            before = f"before {token[0].strip()}" if token else ""
            where = f"after {self._tokens[self._at - 1][0].strip()}" if self._at else before
            raise ConfigError(f"something to look for is missing {where}", _HINT)
        return tests[0] if len(tests) == 1 else lambda facts: all(test(facts) for test in tests)

    def _term(self, token: re.Match[str]) -> Test:
        if token["open"]:
            test = self._any()
            if self._token() is None:
                raise ConfigError("a ( is not closed", "add a )")
            self._at += 1
            return _negated(test) if token["open"].startswith("-") else test
        test = self._compared(token) if token["op"] else _word(token["word"])
        return _negated(test) if token["not"] else test

    def _compared(self, token: re.Match[str]) -> Test:
        key, op, given = token["key"].lower().replace("-", "_"), token["op"], token["value"]
        if not given.strip('"'):
            raise ConfigError(f"a value is missing after {token['key']}{op}", _HINT)
        if key == "has":
            key = given.strip('"').lower().replace("-", "_")
            self.keys.add(key)
            return lambda facts: any(value not in ("", False) for value in facts(key))
        self.keys.add(key)
        quoted = given.startswith('"')
        wanted = [given.strip('"')] if quoted else [part for part in given.split("|") if part]
        if op in (":", "=", "!="):
            equals = [_equal(part, whole=op != ":" or key in _WHOLE) for part in wanted]
            test: Test = lambda facts: any(equal(value) for value in facts(key) for equal in equals)  # noqa: E731
            return _negated(test) if op == "!=" else test
        return _ordered(key, op, given.strip('"'))

    def _token(self) -> re.Match[str] | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _word(self) -> str:
        token = self._token()
        return "" if token is None or token["op"] else (token["word"] or "")


def _negated(test: Test) -> Test:
    return lambda facts: not test(facts)


def _word(text: str) -> Test:
    found = text.strip('"').casefold()
    return lambda facts: any(found in str(value).casefold() for value in facts(TEXT))


def _equal(text: str, whole: bool) -> Callable[[Value], bool]:
    """Whether a value is what `text` says: a number, yes or no, a pattern, or a part of a text."""
    number, folded = _number(text), text.casefold()
    flag = _BOOLS.get(folded)
    pattern = any(sign in text for sign in "*?")

    def equal(value: Value) -> bool:
        if isinstance(value, bool):
            return value is flag
        if isinstance(value, int | float):
            return number is not None and math.isclose(value, _scaled(number, value), rel_tol=1e-9)
        there = value.casefold()
        if pattern:
            return fnmatchcase(there, folded)
        return there == folded if whole else folded in there

    return equal


def _ordered(key: str, op: str, text: str) -> Test:
    """The test of ``<``, ``<=``, ``>`` or ``>=``: between numbers, or for a date between texts."""
    number = _number(text)
    if number is None and not re.match(r"\d{4}-", text):
        raise ConfigError(f"{key}{op}{text}: {text} is no number", f"{key}:{text} looks for the text")

    def holds(value: Value) -> bool:
        if isinstance(value, bool):
            return False
        if isinstance(value, str):
            return number is None and _compare(op, value, text)
        return number is not None and _compare(op, value, _scaled(number, value))

    return lambda facts: any(holds(value) for value in facts(key))


def _compare(op: str, left: str | float, right: str | float) -> bool:
    if op == "<":
        return left < right  # type: ignore[operator]
    if op == "<=":
        return left <= right  # type: ignore[operator]
    return left > right if op == ">" else left >= right  # type: ignore[operator]


def _number(text: str) -> float | None:
    """A number with a suffix: of a thousand or a million, of bytes, of time (in seconds); None if none."""
    match = _NUMBER.fullmatch(text)
    factor = _SUFFIXES.get(match[2]) if match else None
    return float(match[1]) * factor if match and factor is not None else None


def _scaled(number: float, value: float) -> float:
    """`number` in the unit of `value`: a share up to 1 means percent beside an accuracy."""
    return number * 100 if isinstance(value, Percent) and number <= 1 else number
