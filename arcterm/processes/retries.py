"""Whether a run is launched again after an attempt failed."""

from __future__ import annotations

from arcterm.runs.diagnosis import AttemptEnd
from arcterm.runs.state import Failure

_PAUSE_SECONDS = 5.0
_OUTSIDE = ("SIGKILL", "SIGSTOP", "SIGTERM")


class Retries:
    """The relaunches that are left: `allowed` in a row, until there is a checkpoint newer than `saved`.

    `saved` is a step, None without a checkpoint.
    """

    def __init__(self, allowed: int, saved: int | None) -> None:
        self._allowed = allowed
        self._saved = saved
        self._used = 0
        self._before: AttemptEnd | None = None

    def refusal(self, ended: AttemptEnd, saved: int | None, *, mended: bool = False) -> str | None:
        """Return why the run stays as it ended, in words if there is more to say; None to launch it again.

        `saved` is the newest checkpoint now. A failure that repeats is no reason to go on, unless something
        was `mended`.
        """
        before, self._before = self._before, ended
        if saved is not None and (self._saved is None or saved > self._saved):
            self._saved, self._used = saved, 0
        if ended.failure is None or (ended.failure.repeats and not mended):
            return ""
        if before and before.failure and not mended and _is_same(before, ended):
            return f"it ended so twice at step {ended.step:,}"
        if self._used >= self._allowed:
            allowed = f"{self._allowed} relaunch{'es' * (self._allowed != 1)}"
            return f"{allowed} in a row brought no newer checkpoint" if self._allowed else ""
        self._used += 1
        return None

    @property
    def pause(self) -> float:
        """Seconds to wait before the next attempt: none at first, then more; a cause may take time to go."""
        return _PAUSE_SECONDS * max(0, self._used - 1)


def _is_same(before: AttemptEnd, now: AttemptEnd) -> bool:
    """Whether two attempts ended at one step in one way, which was not a signal from outside."""
    return (
        before.step == now.step
        and before.failure is not None
        and now.failure is not None
        and _way(before.failure) == _way(now.failure)
        and now.failure.signal not in _OUTSIDE
    )


def _way(failure: Failure) -> tuple[int | None, str, int | None]:
    return failure.rank, failure.signal, failure.exit_code
