"""The state of jobs, from squeue, and from sacct for those that Slurm's controller has forgotten.

squeue is asked for lines and not for ``--json``: in 22.05 that holds all jobs of the cluster whatever is
asked for, 5 KB each, and later versions write other types into it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from arcterm_registry.contracts import EngineState

from arcterm.errors import RunError
from arcterm.launch.slurm import commands, reasons
from arcterm.launch.slurm.commands import SilentError

FORMAT = "%A|%T|%r|%S|%N|%P|%k"
"""Columns of squeue: id, state, reason, start, nodes, partition, comment."""

REQUEUED = "arcterm: "
"""How the comment of a job begins that arcterm had requeued; then comes why."""

_WHY = ("preempted", "out of time")
_ID = re.compile(r"\d+")
_PENDING = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD")
_RUNNING = (
    "RUNNING",
    "CONFIGURING",
    "COMPLETING",
    "SUSPENDED",
    "STOPPED",
    "SIGNALING",
    "STAGE_OUT",
    "RESIZING",
)
_ENDED = {
    "COMPLETED": "",
    "CANCELLED": "cancelled",
    "FAILED": "it ended with an error",
    "TIMEOUT": "it ran into its time limit",
    "NODE_FAIL": "a node failed",
    "PREEMPTED": "preempted",
    "OUT_OF_MEMORY": "it had not enough memory",
    "BOOT_FAIL": "a node could not be started",
    "DEADLINE": "it could not be done before its deadline",
    "REVOKED": "another cluster took it",
}


class JobRow(NamedTuple):
    """A job as squeue or sacct describes it; `start` is seconds since 1970, None if unknown."""

    id: str
    state: str
    reason: str = ""
    start: float | None = None
    nodes: str = ""
    partition: str = ""
    comment: str = ""


def states(ids: Sequence[str]) -> dict[str, EngineState]:
    """The state of each job; raises `RunError` if Slurm does not answer, since then nothing is known.

    Slurm forgets no job before its end, so that one which it does not know is over.
    """
    wanted = [each for each in ids if _ID.fullmatch(each)]
    rows = _rows(wanted) if wanted else {}
    places = _places(rows)
    gone = EngineState(state="ended", reason="Slurm does not know it any more")
    found = {
        each: engine_state(rows[each], places.get(each, "")) if each in rows else gone for each in wanted
    }
    return {each: found.get(each, EngineState(state="unknown")) for each in ids}


def parse_rows(text: str) -> dict[str, JobRow]:
    """Parse lines of squeue in `FORMAT`, by id; a line that is none is left out."""
    found = {}
    for line in text.splitlines():
        parts = line.split("|", 6)
        if len(parts) == 7 and _ID.fullmatch(parts[0]):
            job, state, reason, start, nodes, partition, comment = parts
            found[job] = JobRow(job, state, reason, _time(start), nodes, partition, comment)
    return found


def parse_accounts(text: str) -> dict[str, JobRow]:
    """Parse lines of ``sacct --parsable2``: id, state, nodes; of a job itself, not of its steps."""
    found = {}
    for line in text.splitlines():
        job, _, rest = line.partition("|")
        state, _, nodes = rest.partition("|")
        if _ID.fullmatch(job) and state:
            found[job] = JobRow(job, state.split()[0], nodes="" if "None" in nodes else nodes)
    return found


def engine_state(row: JobRow, place: str = "") -> EngineState:
    """A job's state as arcterm has it; `place` says where it stands in the queue."""
    hosts = hosts_of(row.nodes)
    word: Literal["queued", "running", "ended", "unknown"] = "unknown"
    reason = ""
    if row.state in _PENDING:
        word, reason = "queued", "; ".join(filter(None, (_again(row), reasons.worded(row.reason), place)))
    elif row.state in _RUNNING:
        word, reason = "running", "its nodes are starting it"  # which is shown until they have
    elif row.state in _ENDED:
        word, reason = "ended", _ENDED[row.state]
    return EngineState(
        state=word, reason=reason, start=row.start if word == "queued" else None, hosts=hosts, raw=row.state
    )


def hosts_of(text: str) -> list[str]:
    """The nodes of a list like ``gpu[01-03,7],login``, by name."""
    found: list[str] = []
    for part in re.findall(r"(?:[^,\[\]]|\[[^\]]*\])+", text):
        match = re.fullmatch(r"([^\[\]]*)\[([^\]]*)\]([^\[\]]*)", part)
        if match is None:
            found.append(part)
            continue
        for span in match[2].split(","):
            low, _, high = span.partition("-")
            if low.isdecimal() and (high or low).isdecimal() and int(high or low) - int(low) < 1 << 16:
                numbers = range(int(low), int(high or low) + 1)
                found += [f"{match[1]}{number:0{len(low)}d}{match[3]}" for number in numbers]
    return found


def _rows(ids: list[str]) -> dict[str, JobRow]:
    """The jobs that Slurm knows of."""
    words = ["squeue", "--noheader", "--states=all", f"--jobs={','.join(ids)}", f"--format={FORMAT}"]
    try:
        found = parse_rows(commands.ask(words))
    except SilentError:
        raise
    except RunError as error:
        if "Invalid job id" not in error.message:  # which it says of a single one that is forgotten
            raise
        found = {}
    return found | _forgotten([each for each in ids if each not in found])


def _forgotten(ids: list[str]) -> dict[str, JobRow]:
    """Jobs that only the accounts remember; none where a cluster keeps no accounts."""
    if not ids:
        return {}
    columns = "--format=JobIDRaw,State,NodeList"
    try:
        return parse_accounts(
            commands.ask(
                ["sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(ids)}", columns]
            )
        )
    except RunError:
        return {}


def _places(rows: Mapping[str, JobRow]) -> dict[str, str]:
    """Where each waiting job stands among those of its partition: ``3rd of 17 in gpu``."""
    found: dict[str, str] = {}
    partitions = {row.partition for row in rows.values() if row.state == "PENDING" and row.partition}
    for partition in sorted(partitions):
        words = [
            "squeue",
            "--noheader",
            "--states=PENDING",
            f"--partition={partition}",
            "--sort=-p,i",
            "--format=%A",
        ]
        try:
            queue = commands.ask(words).split()
        except RunError:
            continue
        for job, row in rows.items():
            if row.partition == partition and job in queue and len(queue) > 1:
                found[job] = f"{_ordinal(queue.index(job) + 1)} of {len(queue):,} in {partition}"
    return found


def _ordinal(number: int) -> str:
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{last}"


def _again(row: JobRow) -> str:
    """Why a job waits once more, if arcterm had it requeued."""
    why = row.comment.removeprefix(REQUEUED)
    return f"{why}, requeued" if why != row.comment and why in _WHY else ""


def _time(text: str) -> float | None:
    return float(text) if text.isdecimal() else None
