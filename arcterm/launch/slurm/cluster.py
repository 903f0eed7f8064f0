"""What a cluster has, asked before a run is made: its partitions, and whether sbatch would take the job."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from arcterm_registry.contracts import Submission

from arcterm.errors import RunError
from arcterm.launch.slurm import commands
from arcterm.launch.slurm.commands import SilentError
from arcterm.launch.slurm.options import SlurmOptions, seconds
from arcterm.text import clean, first_of

_FORMAT = "%R|%l|%D|%G|%c"
_GPU = re.compile(r"gpu(?::[^:,()]+)?:(\d+)")


class Partition(NamedTuple):
    """A partition: its time limit in seconds (None: none), nodes, and most GPUs and CPU cores of a node."""

    name: str
    limit: int | None
    nodes: int
    gpus: int
    cores: int


def problems(submission: Submission, options: SlurmOptions) -> list[str]:
    """What stands against a submission as the cluster is made, in words; it need not be free."""
    try:
        found = parse_partitions(commands.ask(["sinfo", "--noheader", f"--format={_FORMAT}"]))
    except SilentError as error:
        return [f"{error.message} → {error.hint}"]
    except RunError:
        return []  # a site may have no sinfo; sbatch itself is asked next
    names = list(filter(None, options.partition.split(",")))
    unknown = [name for name in names if name not in found]
    if unknown:
        has = first_of(sorted(found), 12) or "none that you may use"
        return [f"there is no partition {', '.join(unknown)} → the cluster has {has}"]
    said = [_short(submission, options, found[name]) for name in names]
    # one of several is enough
    return [*next((each for each in said if not each), said[0] if said else []), *_account(options)]


def refusal(directives: Sequence[str], extra: Mapping[str, str]) -> list[str]:
    """What sbatch itself says against these options, without a job being made."""
    try:
        # with --wrap nothing is read and nothing is run: the options alone are looked at
        commands.ask(["sbatch", "--test-only", *directives, "--wrap=true"], extra=extra)
    except SilentError as error:
        return [f"{error.message} → {error.hint}"]
    except RunError as error:
        text = error.message.removeprefix("sbatch refuses: ").replace("allocation failure: ", "")
        return [f"Slurm does not take it: {text} → change an option launcher.KEY"]
    return []


def parse_partitions(text: str) -> dict[str, Partition]:
    """Parse sinfo's lines in the format above; a partition has one for each kind of its nodes."""
    found: dict[str, Partition] = {}
    for line in text.splitlines():
        parts = line.split("|")
        if len(parts) != 5:
            continue
        name, limit, nodes, gres, cores = parts
        before = found.get(name, Partition(name, None, 0, 0, 0))
        found[name] = Partition(
            name,
            None if limit in ("infinite", "n/a") else seconds(limit),
            before.nodes + _number(nodes),
            max(before.gpus, sum(map(int, _GPU.findall(gres)))),
            max(before.cores, _number(cores)),
        )
    return found


def _short(submission: Submission, options: SlurmOptions, partition: Partition) -> list[str]:
    """What a partition has too little of."""
    name, said = partition.name, []
    if submission.hosts > partition.nodes:
        said.append(f"{name} has {partition.nodes} nodes, not {submission.hosts} → lower launcher.hosts")
    if not options.gres and submission.gpus > partition.gpus:
        said.append(
            f"no node of {name} has {submission.gpus} GPUs, the most are {partition.gpus} → lower "
            "launcher.gpus, or say how that cluster counts them in launcher.gres"
        )
    if options.cpus and options.cpus > partition.cores:
        said.append(
            f"no node of {name} has {options.cpus} cores → at most {partition.cores} in launcher.cpus"
        )
    if partition.limit and options.seconds and options.seconds > partition.limit:
        said.append(
            f"time {options.time} is above the limit of {name}, {partition.limit // 60} minutes → lower it: "
            "a run that is out of time is requeued and goes on"
        )
    return said


def _account(options: SlurmOptions) -> list[str]:
    """That the account is none of this user's, where the cluster keeps accounts."""
    if not options.account:
        return []
    user = os.environ.get("USER") or str(os.getuid())
    words = [
        "sacctmgr",
        "--noheader",
        "--parsable2",
        "show",
        "associations",
        f"user={user}",
        "format=Account",
    ]
    try:
        known = set(commands.ask(words).split())
    except RunError:
        return []
    if not known or options.account in known:
        return []
    has = clean(first_of(sorted(known), 12))
    return [f"you have no account {options.account} → you have {has}"]


def _number(text: str) -> int:
    """A count that may end in ``+``."""
    return int(text.rstrip("+")) if text.rstrip("+").isdecimal() else 0
