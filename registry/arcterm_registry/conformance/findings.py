"""One check of one plug-in, and what it finds."""

from __future__ import annotations

import dataclasses
import time
import traceback
import unittest
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from arcterm_registry.conformance.subject import Subject
from arcterm_registry.declare import Value

Outcome = Literal["ok", "failed", "warning", "skipped"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of a check: `detail` is a sentence for a person, with what to do after an arrow."""

    check: str
    outcome: Outcome
    detail: str
    seconds: float


class Failed(AssertionError):  # noqa: N818  pytest shows the name
    """A check that does not hold: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} → {hint}" if hint else message)


class Warned(Exception):  # noqa: N818  it is no error
    """Something that a person should know, though nothing is broken."""


class Skipped(unittest.SkipTest):
    """A check that can't be made here, and why. pytest takes it for a skip."""


class ConformanceWarning(UserWarning):
    """The warning of a check that is called in a test."""


_FOUNDATIONS: set[Callable[[Subject], str]] = set()


def foundation(function: Callable[[Subject], str]) -> Callable[[Subject], str]:
    """Mark a check without which none of the later ones means anything."""
    _FOUNDATIONS.add(function)
    return function


@dataclass(frozen=True)
class Check:
    """One check of one plug-in; calling it is a test."""

    function: Callable[[Subject], str]
    subject: Subject

    @property
    def name(self) -> str:
        """Its name, e.g. ``state-dict``."""
        return self.function.__name__.replace("_", "-")

    @property
    def is_foundation(self) -> bool:
        """Whether the later checks rest on this one."""
        return self.function in _FOUNDATIONS

    def __str__(self) -> str:
        return self.name

    def __call__(self, **options: Value) -> None:
        """Check it, with `options` beside those already given; raises AssertionError or SkipTest."""
        merged = {**self.subject.options, **options}
        try:
            self.function(dataclasses.replace(self.subject, options=merged))
        except Warned as warning:
            warnings.warn(f"{self.subject.title}: {warning}", ConformanceWarning, stacklevel=2)
        except (Failed, Skipped):
            raise
        except (Exception, SystemExit) as error:
            raise Failed(f"{self.subject.title}: {_words(error)}") from error

    def find(self) -> Finding:
        """Run the check and return its outcome, whatever the plug-in raises."""
        started = time.perf_counter()
        outcome, detail = self._outcome()
        return Finding(check=self.name, outcome=outcome, detail=detail, seconds=time.perf_counter() - started)

    def _outcome(self) -> tuple[Outcome, str]:
        try:
            return "ok", self.function(self.subject)
        except Failed as failure:
            return "failed", str(failure)
        except Warned as warning:
            return "warning", str(warning)
        except Skipped as reason:
            return "skipped", str(reason)
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a stranger's code raises
            return "failed", _words(error)


def require(holds: object, message: str, hint: str = "") -> None:
    """Raise `Failed` unless `holds`."""
    if not holds:
        raise Failed(message, hint)


def _words(error: BaseException) -> str:
    """Type and message of an unexpected error, and the last line of the plug-in's own code on its way."""
    ours = str(Path(__file__).parent)
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith(ours)]
    own = [f for f in frames if "site-packages/torch/" not in f.filename and not f.filename.startswith("<")]
    where = f" at {Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name}" if own else ""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:400]}{where}"
