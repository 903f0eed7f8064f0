"""The launcher: what a submission would be, whether the cluster takes it, and its life there."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from arcterm_registry.contracts import EngineState, Submission

from arcterm.errors import RunError
from arcterm.launch.slurm import cluster, commands, polling, script
from arcterm.launch.slurm.options import SlurmOptions
from arcterm.text import clean

_JOB = re.compile(r"(\d+)(;[^\s;]+)?")
_DEFAULTS = {
    "account": "SBATCH_ACCOUNT",
    "partition": "SBATCH_PARTITION",
    "qos": "SBATCH_QOS",
    "reservation": "SBATCH_RESERVATION",
    "time": "SBATCH_TIMELIMIT",
    "constraint": "SBATCH_CONSTRAINT",
}
"""Variables by which a site or a user says what sbatch does where an option is not given."""


class Slurm:
    """Runs as batch jobs of a Slurm cluster, of which this machine has the commands."""

    def __init__(self, **options: Any) -> None:
        self.options = SlurmOptions(**options)

    def check(self, submission: Submission) -> list[str]:
        """Return what stands against a submission: here, or at the cluster, which is asked."""
        if lacking := commands.missing():
            return [
                f"no {lacking} on PATH: this machine has no commands of Slurm → go to a login node, or load "
                "the module that has them"
            ]
        problems = [*self._setup_problems(), *cluster.problems(submission, self.options)]
        if not problems:
            problems = cluster.refusal(script.directives(submission, self.options), self._environment())
        return problems

    def describe(self, submission: Submission) -> str:
        """Return the command that hands the run in, and the script."""
        text = script.script(submission, self.options)
        command = clean(shlex.join(script.sbatch(submission)))
        return "\n".join([f"# {command}", *(clean(line) for line in text.splitlines())])

    def submit(self, submission: Submission) -> str:
        """Hand the run in and return the job's id; raises `RunError` with sbatch's own words."""
        script.write(submission, self.options)
        words, extra = script.sbatch(submission), self._environment()
        said = commands.ask(words, seconds=commands.PATIENT, extra=extra).strip()
        if (match := _JOB.fullmatch(said)) is None:
            raise RunError(
                f"sbatch gave no job's id but {clean(said)[:200]!r}", "`squeue --me` lists your jobs"
            )
        return match[1]

    def state(self, ids: Sequence[str]) -> Mapping[str, EngineState]:
        """Return the state of each job; raises `RunError` if Slurm does not answer."""
        return polling.states(ids)

    def stop(self, id: str, *, at_once: bool) -> None:
        """Take a waiting job back; have one that runs save and end, or end it at once.

        The signal goes to its steps; to the batch process that is neither preemption nor the time limit.
        """
        found = polling.states([id])[id]
        if found.state == "ended":
            return
        if at_once or found.state == "queued":
            commands.ask(["scancel", id], seconds=commands.PATIENT)
        else:
            commands.ask(["scancel", "--signal=TERM", id], seconds=commands.PATIENT)

    def logs(self, id: str) -> list[Path]:
        """Return the file into which the job writes, while Slurm knows of it."""
        with contextlib.suppress(RunError):
            for line in commands.ask(["scontrol", "show", "job", id]).splitlines():
                name, _, value = line.strip().partition("=")
                if name == "StdOut" and Path(value).is_file():
                    return [Path(value)]
        return []

    def _setup_problems(self) -> list[str]:
        setup = self.options.setup
        if setup and not Path(setup).is_file():
            return [f"setup: there is no file {clean(setup)} → give a file that every node sees too"]
        return []

    def _environment(self) -> dict[str, str]:
        """Variables for sbatch: its defaults of this site, where an option is not given."""
        return {
            name: os.environ[name]
            for option, name in _DEFAULTS.items()
            if name in os.environ and not getattr(self.options, option)
        }
