"""A process that is meant to outlive the one that starts it."""

from __future__ import annotations

import subprocess

_started: list[Detached] = []


class Detached(subprocess.Popen[bytes]):
    """Python would warn of one that still runs when this object goes."""

    def __del__(self, *args: object, **kwargs: object) -> None:
        """Leave it alone."""


def keep(process: Detached) -> None:
    """Hold on to a process until it has ended, so that none is left as a zombie."""
    _started[:] = [each for each in _started if each.poll() is None] + [process]
