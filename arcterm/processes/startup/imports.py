"""Imports of a process that works with torch: half a million objects that last as long as the process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Spare the garbage collector what is imported meanwhile.

    It would look through all of it time and again during the import, in each of its long rounds while
    the process works, and when the process ends: half a second of the start and the end of every rank.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
