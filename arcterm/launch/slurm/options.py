"""The options of the launcher as values of sbatch: which texts fit, and how long a time is.

A value that fits can neither end a ``#SBATCH`` line nor begin another option.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import NamedTuple

_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.@+-]*"
_HOSTS = r"[A-Za-z0-9_][A-Za-z0-9_.,\[\]-]*"
_GRES = rf"{_NAME}(:{_NAME})?(:\d+)?"
_EXTRA = re.compile(r"--([a-z][a-z-]*)(=[A-Za-z0-9_.,:@%/+=\[\]-]+)?")
_TIME = re.compile(
    r"((?P<days>\d+)-(?P<d_hours>\d+)(:(?P<d_minutes>\d+)(:(?P<d_seconds>\d+))?)?"
    r"|(?P<hours>\d+):(?P<h_minutes>\d+):(?P<h_seconds>\d+)"
    r"|(?P<minutes>\d+)(:(?P<seconds>\d+))?)"
)
_OURS = (
    *("array", "batch", "begin-with", "chdir", "clusters", "cpus-per-task", "error", "export", "export-file"),
    *("get-user-env", "help", "input", "job-name", "no-requeue", "nodes", "ntasks", "ntasks-per-node"),
    *("open-mode", "output", "parsable", "quiet", "requeue", "signal", "test-only", "usage", "version"),
    *("wait", "wrap"),
)
"""Options of sbatch that the script needs as they are."""


class Rule(NamedTuple):
    """What a text must look like, and an example of one that does."""

    pattern: str
    example: str


_RULES = {
    "partition": Rule(rf"{_NAME}(,{_NAME})*", "gpu or gpu,long"),
    "account": Rule(_NAME, "faces"),
    "qos": Rule(_NAME, "normal"),
    "reservation": Rule(_NAME, "maintenance"),
    "time": Rule(_TIME.pattern, "90, 12:00:00 or 2-00"),
    "gres": Rule(rf"{_GRES}(,{_GRES})*", "gpu:a100:8"),
    "memory": Rule(r"\d{1,12}[KMGTkmgt]?", "64G"),
    "constraint": Rule(r"[A-Za-z0-9_(\[][A-Za-z0-9_.=&|*\[\]():,-]*", "a100&ib"),
    "nodelist": Rule(_HOSTS, "n[1-4],n7"),
    "exclude": Rule(_HOSTS, "n[1-4],n7"),
    "interface": Rule(r"[A-Za-z0-9_.@-]{1,15}", "ib0"),
    "setup": Rule(r"/[^\0]*", "/home/me/modules.sh"),
}


@dataclass(frozen=True, kw_only=True)
class SlurmOptions:
    """The options of the declaration, checked; raises `ValueError`, "problem → next step"."""

    hosts: int = 1
    gpus: int = 0
    threads: int | None = None
    partition: str = ""
    account: str = ""
    qos: str = ""
    reservation: str = ""
    time: str = ""
    gres: str = ""
    cpus: int | None = None
    memory: str = ""
    constraint: str = ""
    nodelist: str = ""
    exclude: str = ""
    exclusive: bool = False
    requeue: bool = True
    signal: int | None = None
    interface: str = ""
    setup: str = ""
    extra: str = ""

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in _RULES and (value := getattr(self, field.name)):
                _check_text(field.name, value)
        for word in self.extra.split():
            _check_extra(word)
        limit = self.seconds
        if self.time and not limit:
            raise ValueError(f"time {self.time} is no time at all → give minutes, or HOURS:MINUTES:SECONDS")
        if limit and self.signal and self.signal >= limit:
            raise ValueError(
                f"signal {self.signal}: it would save that many seconds before its end, of {limit} in all "
                f"→ give less than {limit}, or a longer time"
            )

    @property
    def seconds(self) -> int | None:
        """The time limit; None for the partition's."""
        return seconds(self.time) if self.time else None

    def notice(self, grace: float) -> int:
        """Seconds before the time limit at which the run is told to save, which may take `grace` seconds.

        Slurm looks at its clocks once a minute, and may tell a minute too early.
        """
        if self.signal:
            return self.signal
        usual = min(65535, round(grace) + 60)
        return usual if self.seconds is None else max(1, min(usual, self.seconds // 2))


def check(**options: object) -> None:
    """Raise `ValueError`, "problem → next step", for options that are not for sbatch."""
    SlurmOptions(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]


def seconds(text: str) -> int:
    """Seconds of a time as Slurm writes it: MINUTES[:SECONDS], H:M:S, DAYS-H[:M[:S]]; raises `ValueError`."""
    if (match := _TIME.fullmatch(text)) is None:
        raise ValueError(f"{text!r} is no time of Slurm's")
    parts = {name: int(value) for name, value in match.groupdict().items() if value}
    unit = {"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
    return sum(count * unit[name.rpartition("_")[2]] for name, count in parts.items())


def _check_text(name: str, value: str) -> None:
    rule = _RULES[name]
    if not re.fullmatch(rule.pattern, value):
        shown = repr(value) if len(value) <= 80 else f"{value[:80]!r}…"
        raise ValueError(f"{name} can't be {shown} → write it like {rule.example}")


def _check_extra(word: str) -> None:
    match = _EXTRA.fullmatch(word)
    if match is None:
        raise ValueError(f"extra can't hold {word!r:.80} → write options as --name=value, without quotes")
    if match[1] in _OURS:
        raise ValueError(f"extra can't hold --{match[1]}, which arcterm sets itself → leave it out")
    if match[1] in ("gpus-per-node", "mem", *(name for name in _RULES if name not in ("interface", "setup"))):
        raise ValueError(f"extra can't hold --{match[1]} → the launcher has an option of its own for it")
