"""The batch script of a run, and the environment that it reads: text for a shell, every value quoted.

Values of ``#SBATCH`` lines are numbers, or were checked by `options`; paths are on sbatch's command line.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from arcterm_registry.contracts import Submission

from arcterm import environment
from arcterm.launch.slurm.options import SlurmOptions

FOLDER = "slurm"
"""The folder in a run's directory that holds what sbatch is given and what a job writes."""

_CORES_PER_GPU = 8
_NAMES = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"),
)
_PREFIXES = (
    *(
        "LC_",
        "PYTHON",
        "CONDA_",
        "ARCTERM_",
        "CUDA_",
        "NCCL_",
        "GLOO_",
        "OMP_",
        "MKL_",
        "OPENBLAS_",
        "TORCH_",
    ),
    *("PYTORCH_", "TRITON_", "MALLOC_", "UCX_", "FI_"),
)
_NOT = ("CUDA_VISIBLE_DEVICES", "ARCTERM_PARENT_PID", "ARCTERM_RENDEZVOUS")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def directives(submission: Submission, options: SlurmOptions) -> list[str]:
    """The options of sbatch, as ``#SBATCH`` lines have them."""
    wanted: dict[str, object] = {
        "job-name": job_name(submission),
        "nodes": submission.hosts,
        "ntasks-per-node": 1,
        "cpus-per-task": cores(submission, options),
        "gpus-per-node": 0 if options.gres else submission.gpus,
        "gres": options.gres,
        "mem": options.memory,
    }
    plain = ("partition", "account", "qos", "reservation", "time", "constraint", "nodelist", "exclude")
    wanted |= {name: getattr(options, name) for name in plain}
    wanted |= {
        "signal": f"B:USR1@{options.notice(submission.grace)}",
        # what was written before a requeue stays
        "open-mode": "append",
        # nothing of the shell in which it was submitted reaches the nodes, but for what the script reads
        "export": "NONE",
    }
    given = [f"--{name}={value}" for name, value in wanted.items() if value]
    flags = ["--requeue" if options.requeue else "--no-requeue", *["--exclusive"] * options.exclusive]
    return [*given, *flags, *options.extra.split()]


def script(submission: Submission, options: SlurmOptions) -> str:
    """The text of the batch script."""
    lines = ["#!/bin/sh", *(f"#SBATCH {directive}" for directive in directives(submission, options)), ""]
    read = [str(submission.folder / FOLDER / "environment"), *filter(None, [options.setup])]
    lines += [f". {shlex.quote(path)} || exit 1" for path in read]
    return "\n".join([*lines, f"exec {shlex.join(_inside(submission, options))}", ""])


def sbatch(submission: Submission) -> list[str]:
    """The command that hands the script in."""
    folder = submission.folder / FOLDER
    # the % of a path would begin a field of Slurm's
    pattern = str(folder).replace("%", "%%") + "/%j.out"
    return ["sbatch", "--parsable", f"--chdir={folder}", f"--output={pattern}", str(folder / "batch.sh")]


def variables(environ: Mapping[str, str]) -> str:
    """A shell file that exports the part of an environment that a run needs on another machine.

    No secret is among it: ``*_TOKEN``, ``*_KEY`` and the like are of other programs.
    """
    kept = {
        name: value
        for name, value in sorted(environ.items())
        if (name in _NAMES or name.startswith(_PREFIXES)) and name not in _NOT and _VARIABLE.fullmatch(name)
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items())


def write(submission: Submission, options: SlurmOptions) -> None:
    """Write the script and the environment into the run's directory, for its user alone."""
    folder = submission.folder / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    _write(folder / "environment", variables(environment.for_child()))
    _write(folder / "batch.sh", script(submission, options))


def job_name(submission: Submission) -> str:
    """The job's name: that of the run, or its id."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", submission.name or submission.run)
    return f"arcterm-{name}"[:100]


def cores(submission: Submission, options: SlurmOptions) -> int:
    """CPU cores of each node."""
    if options.cpus:
        return options.cpus
    return max(submission.gpus * _CORES_PER_GPU, submission.ranks * submission.threads, 1)


def _inside(submission: Submission, options: SlurmOptions) -> list[str]:
    """The command of the script: the process that starts a step on all nodes and knows what its end means."""
    step = [
        "srun",
        "--export=ALL",  # of the script, as srun takes nothing after sbatch's NONE
        f"--nodes={submission.hosts}",
        f"--ntasks={submission.hosts}",
        "--ntasks-per-node=1",
        f"--cpus-per-task={cores(submission, options)}",
        # one host that ends is a matter of the run's supervisor, not of Slurm
        "--kill-on-bad-exit=0",
        "--wait=0",
        *_placed(submission, options),
    ]
    own = [sys.executable, "-m", "arcterm.launch.slurm.batch", str(submission.folder)]
    return [*own, *["--requeue"] * options.requeue, "--", *step]


def _placed(submission: Submission, options: SlurmOptions) -> list[str]:
    """The command of a run's host; of several, each with the address on which it meets the others."""
    if submission.hosts == 1:
        return submission.command
    if options.interface:
        return [*submission.command, "--local-addr", options.interface]
    return [sys.executable, "-m", "arcterm.launch.slurm.node", "--", *submission.command]


def _write(path: Path, text: str) -> None:
    """Replace a file that only its user may read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
