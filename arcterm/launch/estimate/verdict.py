"""What was found out about a training before its start, as a value and as lines of its plan."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from arcterm.errors import ConfigError
from arcterm.launch.estimate.need import Need

ERROR = 0.15
"""The estimate's own error, as a share of it (benchmarks/memory.py)."""
_GIB = 1 << 30


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank needs against what is `free` for it on `device`, bytes; None where it is not known.

    `exact` is False where `need` is only a bound. `largest` is the largest batch of a rank that fits.
    `checkpoint` and `checkpoints` are the bytes of one and of all that are to be kept, with the one that is
    being written; `disk_free` those that are free for them. `copy` bytes of the host's memory let steps go on
    while one is written; where they are not there, or not wanted, steps `wait`.
    `notes` are remarks. `problem` says why the training can't be, and `command` asks for one that can, with
    the settings of `change`; all are empty where there is no problem.
    """

    device: str
    free: int | None
    need: Need | None
    exact: bool = True
    remark: str = ""
    largest: int | None = None
    checkpoint: int = 0
    checkpoints: int = 0
    disk_free: int = 0
    copy: int = 0
    wait: bool = False
    notes: list[str] = []
    problem: str = ""
    command: str = ""
    change: dict[str, Any] = {}

    @property
    def refusal(self) -> ConfigError | None:
        """The error of starting it nevertheless."""
        if not self.problem:
            return None
        return ConfigError(self.problem, f"this does: `{self.command}`" if self.command else "see --dry-run")

    def lines(self) -> list[str]:
        """Lines of a plan."""
        saved = f"checkpoints of {gib(self.checkpoint)} GiB, {gib(self.checkpoints)} in all"
        found = [f"memory    {self._memory()}"]
        found += [f"disk      {saved}; {gib(self.disk_free)} GiB free"] if self.checkpoint else []
        found += [f"saving    {self._saving}"] if self.copy else []
        found += [*(f"note      {note}" for note in self.notes)]
        if self.problem:
            cure = f"; this does: {self.command}" if self.command else ""
            found.append(f"problem   {self.problem}{cure}")
        return found

    def to_builtins(self) -> dict[str, Any]:
        """The value as JSON has it, with the sum."""
        total = {"total": self.need.total} if self.need else {}
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made | total

    @property
    def _saving(self) -> str:
        if self.wait:
            return f"steps wait for it: the memory for a copy, {gib(self.copy)} GiB, is not free"
        return f"while steps go on, from a copy in memory: {gib(self.copy)} GiB beside the above"

    def _memory(self) -> str:
        free = (
            "" if self.free is None else f"; {gib(self.free)} GiB free{self.device and f' on {self.device}'}"
        )
        if self.need is None:
            return f"unknown: {self.remark}{free}"
        if not self.exact:
            return f"{gib(self.need.total)} GiB a rank at most{free}"
        parts = {name: getattr(self.need, name) for name in self.need.__struct_fields__ if name != "shared"}
        named = ", ".join(f"{name} {gib(size)}" for name, size in parts.items() if size >= _GIB // 200)
        shared = f", and {gib(self.need.shared)} for all ranks" if self.need.shared else ""
        most = f"; batches up to {self.largest:,} fit" if self.largest else ""
        why = f" ({self.remark})" if self.remark else ""
        return f"{gib(self.need.total)} GiB a rank{shared}: {named}{free}{most}{why}"


def gib(size: float) -> str:
    """Bytes in GiB, to a hundredth below ten, but never as nothing where there is something."""
    number = size / _GIB
    if 0 < number < 0.005:
        return f"{number:.{-math.floor(math.log10(number))}f}"
    return f"{number:.1f}" if number >= 10 else f"{number:.2f}"


def fits(needed: float, free: float) -> bool:
    """Whether it fits whatever the estimate's error."""
    return needed * (1 + ERROR) <= free


def never_fits(needed: float, free: float) -> bool:
    """Whether it does not fit whatever the estimate's error."""
    return needed / (1 + ERROR) > free
