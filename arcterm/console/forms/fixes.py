"""Changes that solve a problem of a form: the nearest value that a field takes, or what an error advises.

No Textual.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from arcterm_registry import Option, OptionError

from arcterm.config import field_text

_NUMBER = re.compile(r"([-+]?[\d_ ]*[.,]?\d+(?:e[-+]?\d+)?)\s*(%|k|m)?$", re.IGNORECASE)
_UNITS = {"": 1.0, "%": 0.01, "k": 1e3, "m": 1e6}
_NAME = r"[a-z][a-z_0-9-]*(?:\.[a-z_0-9]+)?"
_SET = re.compile(rf"--set ({_NAME})=([^\s,;`)]+)")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?: to)?[ =]([^\s,;:`)(-][^\s,;:`)(]*)")
_LEFT_OUT = re.compile(rf"leave out --(?:set )?({_NAME})(?: [a-z]+)?")
_NAMED = re.compile(rf"--(?:set )?({_NAME})")
_DIRECT = {"margin": "loss.margin", "scale": "loss.scale"}
"""Flags of a loss's own options."""


@dataclass(frozen=True)
class Fix:
    """The texts that fields get; an empty one leaves the default."""

    texts: dict[str, str]

    @property
    def words(self) -> str:
        """``0.35``, or several fields with their names; ``leave it empty``."""
        if len(self.texts) == 1:
            return next(iter(self.texts.values())) or "leave it empty"
        return ", ".join(f"{key.replace('_', ' ')} {text or 'empty'}" for key, text in self.texts.items())


def of_option(option: Option, text: str) -> str:
    """A text near `text` that `option` takes; empty where only the default is left."""
    for candidate in _candidates(option, text.strip()):
        if candidate != text and _takes(option, candidate):
            return candidate
    return ""


def nearest(text: str, known: Iterable[str]) -> str:
    """The name of `known` that was probably meant; empty if none is near."""
    close = difflib.get_close_matches(text.lower(), list(known), n=1, cutoff=0.5)
    return close[0] if close else ""


def advised(hint: str, options: Mapping[str, Option]) -> dict[str, str]:
    """The field that the hint of an error sets, ``--nproc 4`` or ``--set head=drop``, or leaves out.

    `options` are those of the fields, by key. The first piece of advice that can be followed is taken.
    """
    kept = _LEFT_OUT.sub("", hint)
    found = [(m.start(), m[1], m[2]) for m in _SET.finditer(kept)]
    found += [(m.start(), m[1], m[2]) for m in _FLAG.finditer(kept) if m[1] != "set"]
    for _, name, value in sorted(found):
        key, text = _key(name, options), value.rstrip(".")
        # a free text is an example: `--gpus 0,2`
        if key and (options[key].type is not str or options[key].choices) and _takes(options[key], text):
            return {key: text}
    left_out = [key for m in _LEFT_OUT.finditer(hint) if (key := _key(m[1], options))]
    return dict.fromkeys(left_out[:1], "")


def field_of(text: str, known: Collection[str]) -> str:
    """The field that an error is about: one that it begins with, or the first whose flag it names."""
    first = re.match(rf"(?:--(?:set )?)?({_NAME})", text)
    named = [first[1]] if first else []
    return next((key for name in [*named, *_NAMED.findall(text)] if (key := _key(name, known))), "")


def _key(name: str, known: Collection[str]) -> str:
    key = _DIRECT.get(name, name.replace("-", "_"))
    return key if key in known else ""


def _candidates(option: Option, text: str) -> Iterator[str]:
    names = [field_text(choice) for choice in option.choices]
    if names:
        yield from (name for name in names if text and name.startswith(text.lower()))
        yield nearest(text, names)
    number = _parse(text)
    if number is None or option.type not in (int, float):
        return
    tried = [number, abs(number)]
    if option.high is not None and abs(number) > option.high:
        tried += [abs(number) / 10, abs(number) / 100]  # a percentage, or a point that slipped
    for value in [*tried, option.low, option.high]:
        if value is not None:
            yield str(round(value)) if option.type is int else f"{value:.10g}"


def _parse(text: str) -> float | None:
    """The number that a person may have meant: ``0,5``, ``50 %``, ``180k``."""
    found = _NUMBER.match(text.strip())
    if found is None:
        return None
    digits = found[1].replace("_", "").replace(" ", "").replace(",", ".")
    return float(digits) * _UNITS[(found[2] or "").lower()]


def _takes(option: Option, text: str) -> bool:
    try:
        option.parse(text)
    except OptionError:
        return False
    return bool(text)
