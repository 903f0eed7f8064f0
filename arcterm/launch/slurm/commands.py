"""Slurm's commands, run with lists of arguments; what they refuse is words."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from arcterm.errors import RunError
from arcterm.text import clean

_SECONDS = 4.0
"""How long a command may take for whose words a person waits; Slurm itself tries for longer."""
PATIENT = 120.0
"""How long one may take that changes something: a controller with much to do is slow to answer."""
_PREFIX = re.compile(
    r"^(sbatch|squeue|scontrol|scancel|sinfo|sacct|srun|sacctmgr)?:? ?(error: |fatal: )+", re.MULTILINE
)
_SILENT = re.compile(
    r"Unable to contact slurm controller|Socket timed out|Connection refused|slurm_load_\w+ error: Unable|"
    r"Transport endpoint|Slurm backup controller|Zero Bytes were transmitted|Protocol authentication error",
    re.IGNORECASE,
)


class SilentError(RunError):
    """Slurm's controller does not answer; what was asked may be true later."""


def missing() -> str:
    """The commands that are not here; empty if all are."""
    wanted = ("sbatch", "squeue", "scontrol", "scancel")
    return ", ".join(name for name in wanted if shutil.which(name) is None)


def ask(words: Sequence[str], *, seconds: float = _SECONDS, extra: Mapping[str, str] | None = None) -> str:
    """What a command prints; raises `RunError` with its own words, `SilentError` if no controller answers."""
    try:
        done = subprocess.run(
            list(words),
            env=_environ() | dict(extra or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise RunError(
            f"there is no {words[0]} on PATH: this machine is not of a Slurm cluster",
            "go to a login node, or load the module that has Slurm's commands",
        ) from None
    except (subprocess.TimeoutExpired, OSError) as error:
        silent = f"{words[0]} has not answered for {seconds:.0f} s"
        said = silent if isinstance(error, subprocess.TimeoutExpired) else f"{words[0]}: {error}"
        raise SilentError(f"Slurm does not answer: {said}", _LATER) from None
    if done.returncode:
        raise _refusal(words[0], done.returncode, done.stderr or done.stdout)
    return done.stdout


def cleaned(text: str) -> str:
    """What a command says of an error, as one line without its own prefixes; the same sentence once."""
    lines = [clean(line).strip() for line in _PREFIX.sub("", text).splitlines()]
    return "; ".join(dict.fromkeys(line.rstrip(".") for line in lines if line))


def _refusal(command: str, code: int, text: str) -> RunError:
    said = cleaned(text) or f"{command} ended with {code} and no word"
    if "configuration source" in said:
        return SilentError(
            "Slurm is installed here, and knows of no cluster",
            "go to a login node, or name the cluster's slurm.conf in SLURM_CONF",
        )
    if _SILENT.search(said):
        return SilentError(f"Slurm does not answer: {said}", _LATER)
    return RunError(f"{command} refuses: {said}", "`arcterm train … --dry-run` prints what it is given")


_LATER = "`scontrol ping` asks its controller; try again when that is up"


def _environ() -> dict[str, str]:
    """This environment, without what changes the meaning of a command: SBATCH_ARRAY_INX, SQUEUE_FORMAT, …

    Inside an allocation its variables would be taken for options of a new job.
    """
    foreign = ("SBATCH_", "SQUEUE_", "SINFO_", "SCANCEL_", "SACCT_", "SLURM_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    kept |= {name: os.environ[name] for name in ("SLURM_CONF", "SLURM_JWT") if name in os.environ}
    # in a locale's own language messages could not be told apart; times are seconds since 1970
    return kept | {"LC_ALL": "C", "SLURM_TIME_FORMAT": "%s"}
