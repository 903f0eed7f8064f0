"""Calls to launchers, which are others' code: what they raise is words, and one that hangs is left alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import TypeVar, cast

from arcterm_registry import get
from arcterm_registry.contracts import LauncherFactory

from arcterm.config import Config, registered
from arcterm.errors import ArctermError, RunError
from arcterm.text import clean

T = TypeVar("T")


def engine_of(config: Config) -> LauncherFactory:
    """Make the launcher of a config; raises `PluginError`, and `RunError` for what its factory raises."""
    declared = get("launcher", registered(config.launcher))
    return call(config.launcher, lambda: cast(LauncherFactory, declared.make(**config.launcher_options)))


def call(name: str, function: Callable[[], T], hint: str = "") -> T:
    """Call the launcher `name`; raises `RunError` for what it raises, "problem → next step".

    Without a step of its own the next one is `hint`.
    """
    try:
        return function()
    except ArctermError:
        raise
    except Exception as error:
        text = " ".join(clean(str(error)).split()) or type(error).__name__
        problem, _, step = text.partition(" → ")
        step = step or hint or f"`arcterm plugins check {name} --kind launcher` looks at it"
        raise RunError(f"{name}: {problem}", step) from error


def call_within(name: str, function: Callable[[], T], seconds: float) -> T:
    """Call the launcher `name` as `call` does; raises `RunError` too if it takes more `seconds`.

    It then goes on in a thread of its own, which holds nothing up.
    """
    answers: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put((call(name, function), None))
        except BaseException as error:  # noqa: BLE001  it is raised where it was asked for
            answers.put((None, error))

    threading.Thread(target=ask, name=f"launcher {name}", daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except queue.Empty:
        raise RunError(f"{name} has not answered for {seconds:.0f} s", "look at its engine") from None
    if error is not None:
        raise error
    return cast(T, answer)
